package cli

import (
	"archive/tar"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"rkt/internal/appc"
	"rkt/internal/image/archive"
	"rkt/internal/stage1"
)

// maxStage1Program bounds how much of a program is kept to look at, in bytes:
// the headers of an ELF file are at its beginning.
const maxStage1Program = 4 << 10

// examinedStage1 is what was found out about a stage1 image.
type examinedStage1 struct {
	manifest *appc.ImageManifest
	entries  archiveEntries
	heads    map[string][]byte // how each executable begins
	problems []string
}

// String says what the image is, on one line.
func (e *examinedStage1) String() string {
	version, _ := e.version()
	var points []string
	for _, a := range e.manifest.Annotations {
		if name, ok := strings.CutPrefix(string(a.Name), stage1.AnnotationPrefix); ok && isEntryPoint(a) {
			points = append(points, name)
		}
	}
	slices.Sort(points)
	return fmt.Sprintf("%s: interface version %d, app format %s, entry points %s",
		e.manifest.Name, version, e.format(), strings.Join(points, " "))
}

// examineStage1 reads an image and compares it with the contract. The error says
// that there is nothing to compare.
func examineStage1(r io.Reader) (*examinedStage1, error) {
	e := &examinedStage1{entries: archiveEntries{}, heads: map[string][]byte{}}
	text, err := e.read(r)
	if err != nil {
		return nil, err
	}
	if text == nil {
		return nil, errors.New("there is no manifest in the image")
	}
	if e.manifest, err = appc.ParseImageManifest(text); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(e.manifest.Annotations, func(a appc.Annotation) bool {
		return strings.HasPrefix(string(a.Name), stage1.AnnotationPrefix)
	}) {
		return nil, fmt.Errorf("it is no stage1 image: no annotation begins with %s", stage1.AnnotationPrefix)
	}
	e.checkManifest()
	e.checkEntryPoints()
	return e, nil
}

func (e *examinedStage1) read(r io.Reader) (manifest []byte, err error) {
	plain, _, err := archive.Decompress(r)
	if err != nil {
		return nil, err
	}
	for reader := archive.NewReader(plain, archive.Limits{}); ; {
		entry, err := reader.Next()
		switch {
		case errors.Is(err, io.EOF):
			return manifest, nil
		case err != nil:
			return nil, err
		case entry.Manifest:
			if manifest, err = io.ReadAll(reader); err != nil {
				return nil, err
			}
		default:
			e.entries[entry.Name] = entry.Header
			if entry.Header.Typeflag == tar.TypeReg && entry.Header.Mode&0o111 != 0 {
				if e.heads[entry.Name], err = io.ReadAll(io.LimitReader(reader, maxStage1Program)); err != nil {
					return nil, err
				}
			}
		}
	}
}

func (e *examinedStage1) problem(format string, args ...any) {
	e.problems = append(e.problems, fmt.Sprintf(format, args...))
}

func (e *examinedStage1) version() (int, error) {
	text, ok := e.manifest.Annotations.Get(stage1.AnnotationInterfaceVersion)
	if !ok {
		return 1, nil
	}
	return strconv.Atoi(text)
}

func (e *examinedStage1) format() string {
	if format, ok := e.manifest.Annotations.Get(stage1.AnnotationAppFormat); ok {
		return format
	}
	return stage1.AppFormatTree
}

// checkManifest looks at everything that is not an entry point.
func (e *examinedStage1) checkManifest() {
	version, err := e.version()
	switch {
	case err != nil || version < 1:
		text, _ := e.manifest.Annotations.Get(stage1.AnnotationInterfaceVersion)
		e.problem("annotation %s: %q is no version", stage1.AnnotationInterfaceVersion, text)
	case version > stage1.InterfaceVersion:
		e.problem("annotation %s: version %d is newer than %d", stage1.AnnotationInterfaceVersion, version, stage1.InterfaceVersion)
	case version < stage1.AppFormatVersion && e.format() != stage1.AppFormatTree:
		e.problem("annotation %s: app formats came with version %d, this is %d",
			stage1.AnnotationAppFormat, stage1.AppFormatVersion, version)
	}
	if format := e.format(); format != stage1.AppFormatTree && format != stage1.AppFormatDisk {
		e.problem("annotation %s: %q is neither %q nor %q", stage1.AnnotationAppFormat, format, stage1.AppFormatTree, stage1.AppFormatDisk)
	}
	os, arch := appc.PlatformLabels(runtime.GOOS, runtime.GOARCH)
	for _, label := range []struct{ name, want string }{{"os", os}, {"arch", arch}} {
		got, ok := e.manifest.Labels.Get(label.name)
		if !ok {
			e.problem("label %s is missing", label.name)
		} else if got != label.want {
			e.problem("label %s is %q, this host is %q", label.name, got, label.want)
		}
	}
	if len(e.manifest.Dependencies) > 0 {
		e.problem("it has dependencies, which are not fetched for a stage1")
	}
	if len(e.manifest.PathWhitelist) > 0 {
		e.problem("it has a path whitelist, which does not count for a stage1")
	}
}

// checkEntryPoints looks at the programs, and for required ones that are not
// named.
func (e *examinedStage1) checkEntryPoints() {
	for _, required := range []string{stage1.AnnotationRun, stage1.AnnotationGC, stage1.AnnotationStop} {
		if _, ok := e.manifest.Annotations.Get(required); !ok {
			e.problem("entrypoint %q not found", required)
		}
	}
	for _, a := range e.manifest.Annotations {
		switch name := string(a.Name); {
		case !strings.HasPrefix(name, stage1.AnnotationPrefix):
		case name == stage1.AnnotationInterfaceVersion, name == stage1.AnnotationAppFormat:
		case name == stage1.AnnotationIsolation && !isEntryPoint(a):
			if _, err := stage1.ParseIsolation(a.Value); err != nil {
				e.problem("annotation %s: %v", name, err)
			}
		case !isEntryPoint(a):
			e.problem("annotation %s is not part of the contract", name)
		default:
			if err := e.checkProgram(a.Value); err != nil {
				e.problem("entrypoint %q: %v", name, err)
			}
		}
	}
}

// isEntryPoint says whether an annotation names a program. That of the isolation
// may also be a word.
func isEntryPoint(a appc.Annotation) bool {
	if a.Name == stage1.AnnotationIsolation && !strings.HasPrefix(a.Value, "/") {
		return false
	}
	return slices.Contains(stage1.EntryPointAnnotations(), string(a.Name))
}

// checkProgram finds out whether the host can execute a program of the image,
// with nothing but the image's tree.
func (e *examinedStage1) checkProgram(name string) error {
	if err := e.entries.checkProgram(name); err != nil {
		return err
	}
	head := e.heads[e.resolve(name)]
	switch {
	case strings.HasPrefix(string(head), "#!"):
		line, _, _ := strings.Cut(string(head[2:]), "\n")
		interpreter, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		if !path.IsAbs(interpreter) {
			return fmt.Errorf("the script's interpreter %q is no absolute path", interpreter)
		}
		return nil
	case strings.HasPrefix(string(head), elf.ELFMAG):
		return checkELF(head)
	}
	return fmt.Errorf("%s is neither a script nor an ELF program", name)
}

// resolve returns the entry that a program's name leads to. checkProgram has
// found that it does.
func (e *examinedStage1) resolve(name string) string {
	at := path.Clean("/" + name)[1:]
	for range maxLinks {
		switch header := e.entries[at]; header.Typeflag {
		case tar.TypeLink:
			at = header.Linkname
		case tar.TypeSymlink:
			at = path.Join(path.Dir(at), header.Linkname)
		default:
			return at
		}
	}
	return at
}

// errDynamic says that a program would load libraries of the host's.
var errDynamic = errors.New("it is linked dynamically, but the host's libraries are not the image's")

// checkELF looks at the headers of a program, of which only the beginning is
// there: so its table of sections, which is at the end, is left out.
func checkELF(head []byte) error {
	const classAt, class64 = 4, 2
	head = slices.Clone(head)
	table, count := []int{32, 36}, []int{48, 52} // of the header's fields, from and to
	if len(head) > classAt && head[classAt] == class64 {
		table, count = []int{40, 48}, []int{60, 64}
	}
	if len(head) < count[1] {
		return errors.New("it is cut off")
	}
	clear(head[table[0]:table[1]])
	clear(head[count[0]:count[1]])
	f, err := elf.NewFile(strings.NewReader(string(head)))
	if err != nil {
		return err
	}
	if want := elfMachine(runtime.GOARCH); f.Machine != want {
		return fmt.Errorf("it is a program for %v, this host is %v", f.Machine, want)
	}
	for _, segment := range f.Progs {
		if segment.Type == elf.PT_INTERP {
			return errDynamic
		}
	}
	return nil
}

func elfMachine(arch string) elf.Machine {
	if arch == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}
