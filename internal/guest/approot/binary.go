package approot

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rkt/internal/linux"
)

// LookupBinary returns the absolute path of the program that name stands for
// in an app's root: an absolute path as it is, one with a slash relative to the
// working directory, anything else along searchPath, or if hasPath is false in
// the working directory, /bin and /usr/bin.
func LookupBinary(root linux.Root, name, workingDirectory, searchPath string, hasPath bool) (string, error) {
	workingDirectory = path.Join("/", workingDirectory)
	if path.IsAbs(name) {
		if !isProgram(root, name) {
			return "", fmt.Errorf("%w %q in the image", ErrBinary, name)
		}
		return name, nil
	}
	dirs := []string{workingDirectory, "/bin", "/usr/bin"}
	if hasPath {
		dirs = strings.Split(searchPath, ":")
	}
	if strings.Contains(name, "/") {
		dirs = []string{workingDirectory}
	}
	for _, dir := range dirs {
		candidate := path.Join("/", dir, name)
		if name != "" && isProgram(root, candidate) {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("%w %q in %q", ErrBinary, name, strings.Join(dirs, ":"))
}

func isProgram(root linux.Root, name string) bool {
	st, err := root.Stat(name)
	return err == nil && isRegular(st.Mode) && st.Mode&0o111 != 0
}

func isRegular(mode uint32) bool { return mode&unix.S_IFMT == unix.S_IFREG }
