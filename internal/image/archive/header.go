package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Bounds of what a Linux file system can hold.
const (
	maxPath      = 4095
	maxComponent = 255
	maxMajor     = 1<<12 - 1
	maxMinor     = 1<<20 - 1
)

const (
	permissionBits = 0o7777
	xattrPrefix    = "SCHILY.xattr."
)

// split cuts the name of an entry or of a hard link's target into its
// components and refuses what could lead out of the archive.
func split(name string) ([]string, error) {
	switch {
	case name == "":
		return nil, errors.New("it has no name")
	case name[0] == '/':
		return nil, errors.New("the name is absolute")
	case len(name) > maxPath:
		return nil, fmt.Errorf("the name is longer than %d bytes", maxPath)
	case strings.ContainsRune(name, 0):
		return nil, errors.New("the name has a NUL character")
	}
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "" || part == ".":
		case part == "..":
			return nil, errors.New(`the name has a ".."`)
		case len(part) > maxComponent:
			return nil, fmt.Errorf("a part of the name is longer than %d bytes", maxComponent)
		default:
			parts = append(parts, part)
		}
	}
	return parts, nil
}

func joinParts(parts []string) string {
	if len(parts) == 0 {
		return "."
	}
	return strings.Join(parts, "/")
}

// shorten keeps error messages to one line.
func shorten(name string) string {
	const longest = 200
	if len(name) <= longest {
		return name
	}
	return name[:longest] + "…"
}

// normalize checks what a header says beside the names and returns it in the
// form that Entry promises, without the names.
func normalize(h *tar.Header) (*tar.Header, error) {
	clean := &tar.Header{
		Mode: h.Mode & permissionBits, Uid: h.Uid, Gid: h.Gid,
		ModTime: h.ModTime, Format: tar.FormatPAX, Typeflag: h.Typeflag,
	}
	// No more than what a Go time can be formatted from and to is kept.
	if year := h.ModTime.Year(); year < 1 || year > 9999 {
		clean.ModTime = time.Unix(0, 0)
	}
	if !isOwner(h.Uid) || !isOwner(h.Gid) {
		return nil, fmt.Errorf("the owner %d:%d is out of range", h.Uid, h.Gid)
	}
	if err := copyXattrs(clean, h); err != nil {
		return nil, err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		clean.Typeflag = tar.TypeReg
		clean.Size = h.Size
		if h.Size < 0 {
			return nil, errors.New("the size is negative")
		}
	case tar.TypeDir, tar.TypeFifo, tar.TypeLink:
	case tar.TypeSymlink:
		clean.Linkname = h.Linkname
		if h.Linkname == "" || len(h.Linkname) > maxPath || strings.ContainsRune(h.Linkname, 0) {
			return nil, errors.New("the symbolic link has no target or one that is too long")
		}
	case tar.TypeChar, tar.TypeBlock:
		clean.Devmajor, clean.Devminor = h.Devmajor, h.Devminor
		if h.Devmajor < 0 || h.Devmajor > maxMajor || h.Devminor < 0 || h.Devminor > maxMinor {
			return nil, fmt.Errorf("the device number %d:%d is out of range", h.Devmajor, h.Devminor)
		}
	default:
		return nil, fmt.Errorf("the type %q is not known", h.Typeflag)
	}
	return clean, nil
}

func isOwner(id int) bool { return id >= 0 && int64(id) < math.MaxUint32 }

// copyXattrs takes over the extended attributes. A hard link has none of its
// own.
func copyXattrs(to, from *tar.Header) error {
	for key, value := range from.PAXRecords {
		name, ok := strings.CutPrefix(key, xattrPrefix)
		if !ok || from.Typeflag == tar.TypeLink {
			continue
		}
		if name == "" || len(name) > maxComponent || strings.ContainsRune(name, 0) {
			return fmt.Errorf("the name of an extended attribute is empty or too long")
		}
		if to.PAXRecords == nil {
			to.PAXRecords = make(map[string]string)
		}
		to.PAXRecords[key] = value
	}
	return nil
}

// Xattrs returns the extended attributes of a header.
func Xattrs(h *tar.Header) map[string]string {
	xattrs := make(map[string]string)
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrPrefix); ok {
			xattrs[name] = value
		}
	}
	return xattrs
}

// SetXattr gives a header an extended attribute.
func SetXattr(h *tar.Header, name, value string) {
	if h.PAXRecords == nil {
		h.PAXRecords = make(map[string]string)
	}
	h.PAXRecords[xattrPrefix+name] = value
}
