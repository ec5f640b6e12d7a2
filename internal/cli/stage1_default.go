package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/errhint"
	"rkt/internal/image/fetch"
	"rkt/internal/image/store"
	"rkt/internal/image/trust"
	"rkt/internal/version"
)

// isInstalledStage1 says whether a file was installed with rkt, and so needs no
// more of a signature than rkt does.
func isInstalledStage1(path string) bool {
	path, err := filepath.Abs(path)
	return err == nil && (path == version.DefaultStage1Location ||
		version.DefaultStage1ImagesDir != "" && filepath.Dir(path) == filepath.Clean(version.DefaultStage1ImagesDir))
}

// stage1InDir takes an image from the directory of stage1 images: the configured
// one, else the one that rkt was installed with.
func (p *program) stage1InDir(name string, images *store.Store) (*stage1Source, error) {
	paths, err := p.configDirs().Paths()
	if err != nil {
		return nil, detail(err)
	}
	dir := cmp.Or(paths.Stage1Images, version.DefaultStage1ImagesDir)
	if dir == "" {
		return nil, errhint.With(errors.New("this rkt was built without a directory of stage1 images, and none is configured"),
			"use --stage1-path")
	}
	if name != filepath.Base(name) || name == "." || name == ".." {
		return nil, fmt.Errorf("--%s %q must be the name of a file", stage1FromDir, name)
	}
	path := filepath.Join(dir, name)
	return p.stage1InFile(path, p.global.insecure.has(insecureStage1) || isInstalledStage1(path), images)
}

// defaultStage1 takes the configured image: from the store by its name, or else
// from its location. What is not configured is the build's: the image where it
// was installed, or the one beside the program.
func (p *program) defaultStage1(ctx context.Context, images *store.Store) (*stage1Source, error) {
	configured, err := p.configDirs().Stage1()
	if err != nil {
		return nil, detail(err)
	}
	if configured.Name != "" {
		labels := appc.Labels{{Name: "version", Value: configured.Version}}
		found, err := p.findStage1(ctx, appc.ACIdentifier(configured.Name), labels, images)
		if found != nil || err != nil {
			return found, err
		}
		if configured.Location == "" {
			return nil, errhint.With(fmt.Errorf("the configured stage1 image %s:%s is not in the store, at least not signed",
				configured.Name, configured.Version), "fetch it with `rkt fetch`, or configure its location")
		}
	}
	if configured.Location == "" {
		return p.builtInStage1(images)
	}
	return p.configuredStage1(ctx, configured.Location, images)
}

// configuredStage1 takes the image from its configured location. If that is gone
// a file of the same name beside the program will do.
func (p *program) configuredStage1(ctx context.Context, location string, images *store.Store) (*stage1Source, error) {
	var source *stage1Source
	var err error
	var gone bool
	if filepath.IsAbs(location) {
		source, err = p.stage1InFile(location, p.global.insecure.has(insecureStage1) || isInstalledStage1(location), images)
		gone = errors.Is(err, os.ErrNotExist)
	} else {
		source, err = p.stage1ByURL(ctx, location, images)
		gone = err != nil && ctx.Err() == nil && !isRefused(err)
	}
	if !gone {
		return source, err
	}
	beside, besideErr := besideProgram(filepath.Base(location))
	if besideErr != nil {
		return nil, besideErr
	}
	if _, statErr := os.Lstat(beside); statErr != nil {
		return nil, detail(fmt.Errorf("failed to fetch stage1 image and failed to fall back to stage1 image in the rkt directory: "+
			"%w; there is no %s", err, beside))
	}
	p.messagesOf("run").printf("warning: %v: using %s instead", err, beside)
	return p.stage1InFile(beside, true, images)
}

// isRefused says whether an image is there, but nobody who is trusted vouches
// for it. Another one in its place would hide that.
func isRefused(err error) bool {
	for _, class := range []error{
		fetch.ErrUnsigned, trust.ErrNoSignature, trust.ErrMalformedSignature, trust.ErrUnknownKey, trust.ErrOtherPrefix,
		trust.ErrBadSignature, trust.ErrKeyExpired, trust.ErrKeyRevoked, trust.ErrWeak,
	} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// builtInStage1 takes the image where it was installed, else the one beside the
// program.
func (p *program) builtInStage1(images *store.Store) (*stage1Source, error) {
	var places []string
	if version.DefaultStage1Location != "" {
		places = append(places, version.DefaultStage1Location)
	}
	if version.DefaultStage1File != "" {
		beside, err := besideProgram(version.DefaultStage1File)
		if err != nil {
			return nil, err
		}
		places = append(places, beside)
	}
	for _, place := range places {
		_, err := os.Lstat(place)
		if !errors.Is(err, os.ErrNotExist) {
			return p.stage1InFile(place, true, images)
		}
	}
	if places == nil {
		return nil, errors.New("neither the location of the default stage1 image nor its filename are set, " +
			"use --stage1-{path,url,name,hash,from-dir} flag")
	}
	return nil, errhint.With(errors.New("failed to fetch stage1 image and failed to fall back to stage1 image "+
		"in the rkt directory: there is no "+strings.Join(places, " and no ")), "name a stage1 image with --stage1-path")
}

// besideProgram returns the path of a file in the directory of rkt itself.
func besideProgram(name string) (string, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return "", err
	}
	return filepath.Join(filepath.Dir(exe), name), nil
}
