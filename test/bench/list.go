package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const (
	nameImageList    = "rkt image list"
	namePodmanImages = "podman images"
)

// errListed means that less was listed than there is.
var errListed = errors.New("not all images are listed")

// storeAtOnce is how many images one command stores.
const storeAtOnce = 50

// listing measures how the images in a full store are listed.
type listing struct {
	rkt    string
	space  *workspace
	images int
}

// measureList fills the stores, measures and takes everything down again.
func measureList(ctx context.Context, o options) (_ *listReport, err error) {
	w, err := newWorkspace()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.remove()) }()
	l := &listing{rkt: o.rkt, space: w, images: o.images}
	result := &listReport{Images: o.images}
	if err := l.fill(ctx); err != nil {
		return nil, fmt.Errorf("fill the store: %w", err)
	}
	candidates := []candidate{{name: nameImageList, run: l.list}}
	peer, err := newPodman(w)
	if err == nil {
		defer func() { err = errors.Join(err, peer.remove()) }()
		err = l.fillPodman(ctx, peer)
	}
	if err != nil {
		result.Notes = append(result.Notes, fmt.Sprintf("podman was not measured: %v", err))
	} else {
		candidates = append(candidates, candidate{name: namePodmanImages, run: func(ctx context.Context) (sample, error) {
			return l.listPodman(ctx, peer)
		}})
	}
	times, err := rounds(ctx, candidates, o.runs)
	if err == nil {
		result.conclude(times)
	}
	return result, err
}

// fill stores images that differ in their manifests.
func (l *listing) fill(ctx context.Context) error {
	var files []string
	for i := range l.images {
		path := l.space.path(fmt.Sprintf("image-%d.aci", i))
		if err := writeSmallImage(path, i); err != nil {
			return err
		}
		if files = append(files, path); len(files) < storeAtOnce && i+1 < l.images {
			continue
		}
		if _, err := tool(ctx, l.rkt, l.arguments(append([]string{"--insecure-options=image", "fetch"}, files...)...)...); err != nil {
			return err
		}
		files = nil
	}
	return nil
}

func (l *listing) arguments(args ...string) []string {
	return append([]string{"--dir=" + l.space.path("data")}, args...)
}

// writeSmallImage writes an image of an app and a file.
func writeSmallImage(path string, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	manifest := fmt.Sprintf(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/bench/image-%d",`+
		`"labels":[{"name":"version","value":"1.0.%[1]d"},{"name":"os","value":"linux"},{"name":"arch","value":"amd64"}],`+
		`"app":{"exec":["/app","--number=%[1]d"],"user":"0","group":"0","environment":[{"name":"PATH","value":"/bin"}]}}`, n)
	w := tar.NewWriter(f)
	return errors.Join(
		addFile(w, "manifest", []byte(manifest)), addDir(w, "rootfs"),
		addFile(w, "rootfs/app", fmt.Appendf(nil, "app %d", n)), w.Close(),
	)
}

// list lists rkt's images.
func (l *listing) list(ctx context.Context) (sample, error) {
	s, out, err := timedToEnd(exec.CommandContext(ctx, l.rkt, l.arguments("image", "list", "--no-legend")...))
	return s, errors.Join(err, l.check(out))
}

// listPodman lists podman's.
func (l *listing) listPodman(ctx context.Context, p *podman) (s sample, err error) {
	var out string
	cmd := p.command(ctx, "images", "--noheading")
	p.rooms.do(func() { s, out, err = timedToEnd(cmd) })
	return s, errors.Join(err, l.check(out))
}

// check makes sure that all images are listed, one a line.
func (l *listing) check(out string) error {
	if lines := strings.Count(out, "\n"); lines != l.images {
		return fmt.Errorf("%w: %d of %d", errListed, lines, l.images)
	}
	return nil
}

// fillPodman loads images of the same app and file into podman, each with a layer
// of its own: it takes podman much longer to list images that share one.
func (l *listing) fillPodman(ctx context.Context, p *podman) (err error) {
	path := l.space.path("podman-images.tar")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := l.writeDockerArchive(f); err != nil {
		return err
	}
	cmd := p.command(ctx, "load", "--quiet", "--input", path)
	_, err = p.rooms.tool(cmd)
	return err
}

// writeDockerArchive writes images in the format of `docker save`.
func (l *listing) writeDockerArchive(f *os.File) error {
	type image struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	w := tar.NewWriter(f)
	var images []image
	for i := range l.images {
		layer, digest, err := smallLayer(i)
		if err != nil {
			return err
		}
		config := fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Cmd":["/app","--number=%d"],"Env":["PATH=/bin"]},`+
			`"created":"2014-05-13T16:53:20Z","rootfs":{"type":"layers","diff_ids":[%q]}}`, i, digest)
		name, layerName := fmt.Sprintf("%d.json", i), fmt.Sprintf("%d.tar", i)
		if err := errors.Join(addFile(w, name, []byte(config)), addFile(w, layerName, layer)); err != nil {
			return err
		}
		images = append(images, image{name, []string{fmt.Sprintf("example.com/bench/image-%d:1.0.%[1]d", i)}, []string{layerName}})
	}
	index, err := json.Marshal(images)
	if err != nil {
		return err
	}
	return errors.Join(addFile(w, "manifest.json", index), w.Close())
}

// smallLayer returns a layer with one file, and its digest.
func smallLayer(n int) ([]byte, string, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := errors.Join(addFile(w, "app", fmt.Appendf(nil, "app %d", n)), w.Close()); err != nil {
		return nil, "", err
	}
	return b.Bytes(), fmt.Sprintf("sha256:%x", sha256.Sum256(b.Bytes())), nil
}
