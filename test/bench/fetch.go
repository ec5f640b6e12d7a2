package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// imageName is the name of the image that is fetched.
const imageName = imageHost + "/bench"

// errNotRendered means that less was measured than is said.
var errNotRendered = errors.New("the image was not rendered")

// fetching measures how an image is fetched, and the tools that do a part of it.
type fetching struct {
	rkt    string
	space  *workspace
	server *server
	keys   *keys
}

// Names of the candidates.
const (
	nameFetch  = "rkt fetch"
	nameDigest = "sha512sum"
	nameVerify = "gpg --verify"
	nameUnpack = "gunzip"
)

// measureFetch sets everything up that has to do with fetching, measures it and
// takes it down again.
func measureFetch(ctx context.Context, o options) (_ *fetchReport, err error) {
	w, err := newWorkspace()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	f := &fetching{rkt: o.rkt, space: w}
	result := &fetchReport{}
	if err := f.makeImage(ctx, o.megabytes*1_000_000, result); err != nil {
		return nil, fmt.Errorf("make an image: %w", err)
	}
	if f.keys, err = newKeys(ctx, w); err != nil {
		return nil, err
	}
	if err := f.keys.sign(ctx, f.image(), f.image()+".asc"); err != nil {
		return nil, err
	}
	if f.server, err = newServer(ctx, w); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.server.close()) }()
	if err := f.trust(ctx); err != nil {
		return nil, err
	}
	if result.Filesystem, err = filesystem(w.dir); err != nil {
		return nil, err
	}
	times, err := rounds(ctx, f.candidates(), o.runs)
	result.conclude(times)
	return result, err
}

// image is the file that is fetched, as it is compressed.
func (f *fetching) image() string { return f.space.path("site", "image.aci") }

// makeImage writes the image as users do: an archive, compressed by gzip.
func (f *fetching) makeImage(ctx context.Context, bytes int64, result *fetchReport) error {
	if err := os.Mkdir(filepath.Dir(f.image()), 0o755); err != nil {
		return err
	}
	out, err := os.Create(f.image())
	if err != nil {
		return err
	}
	defer out.Close()
	gzip := exec.CommandContext(ctx, "gzip", "--no-name")
	gzip.Stdout, gzip.Stderr = out, os.Stderr
	in, err := gzip.StdinPipe()
	if err != nil {
		return err
	}
	if err := gzip.Start(); err != nil {
		return err
	}
	manifest := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":%q,`+
		`"labels":[{"name":"version","value":"1.0.0"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],`+
		`"app":{"exec":["/app"],"user":"0","group":"0"}}`, imageName)
	counted := &counter{w: in}
	err = newContent().write(counted, manifest, bytes)
	err = errors.Join(err, in.Close(), gzip.Wait(), out.Sync())
	if err != nil {
		return err
	}
	info, err := out.Stat()
	if err != nil {
		return err
	}
	result.PlainBytes, result.PackedBytes = counted.n, info.Size()
	return nil
}

// trust lets rkt accept what the keys sign.
func (f *fetching) trust(ctx context.Context) error {
	public := f.space.path("key.asc")
	if err := f.keys.export(ctx, public); err != nil {
		return err
	}
	_, err := f.server.rooms.tool(f.command(ctx, "trust", "--prefix="+imageName, "--skip-fingerprint-review", public))
	return err
}

// command returns a command of rkt, with a store of its own.
func (f *fetching) command(ctx context.Context, args ...string) *exec.Cmd {
	base := []string{"--dir=" + f.space.path("data"), "--local-config=" + f.space.path("local")}
	cmd := exec.CommandContext(ctx, f.rkt, append(base, args...)...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+f.server.authority)
	return cmd
}

// candidates returns rkt, and tools that each do a part on the same bytes. Their
// files are in the page cache, as what rkt has just downloaded is.
func (f *fetching) candidates() []candidate {
	return []candidate{
		{name: nameFetch, run: f.fetch, after: f.forget},
		f.byHand(nameDigest, "sha512sum", f.image()),
		f.byHand(nameVerify, "gpg", "--homedir", f.keys.home, "--batch", "--trust-model=always", "--verify", f.image()+".asc", f.image()),
		f.byHand(nameUnpack, "gunzip", "--keep", "--suffix=.aci", f.image()),
	}
}

// fetch fetches the image into an empty store.
func (f *fetching) fetch(ctx context.Context) (s sample, err error) {
	cmd := f.command(ctx, "fetch", imageName)
	f.server.rooms.do(func() { s, _, err = timedToEnd(cmd) })
	if err != nil {
		return s, err
	}
	disks, err := filepath.Glob(f.space.path("data", "cas", "disk", "*", "image.ext4"))
	if err == nil && len(disks) != 1 {
		err = errNotRendered
	}
	return s, err
}

// byHand returns a tool.
func (f *fetching) byHand(name string, args ...string) candidate {
	return candidate{name: name, after: f.forget, run: func(ctx context.Context) (sample, error) {
		s, _, err := timedToEnd(exec.CommandContext(ctx, args[0], args[1:]...))
		return s, err
	}}
}

// forget removes what a candidate has made, so that the next one doesn't wait
// until that is on the disk.
func (f *fetching) forget(context.Context) error {
	return errors.Join(os.RemoveAll(f.space.path("data")), os.RemoveAll(f.space.path("site", "image")), syncDir(f.space.dir))
}
