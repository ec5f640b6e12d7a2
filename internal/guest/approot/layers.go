package approot

import (
	"path/filepath"

	"rkt/internal/linux"
)

// layers returns the image with a writable layer on top, to be mounted. Device
// nodes of either don't work: those an app may use are in /dev.
func (b *Builder) layers(image, name string) linux.Overlay {
	overlay := linux.Overlay{
		Lower: image,
		Upper: filepath.Join(b.dirs.Scratch, name, "upper"),
		Work:  filepath.Join(b.dirs.Scratch, name, "work"),
		Attrs: linux.NoDev,
	}
	if b.ownUsers {
		// Attributes of the other kind are the host's root's alone.
		overlay.Options = []string{"userxattr"}
	}
	return overlay
}
