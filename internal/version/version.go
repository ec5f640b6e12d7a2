// Package version holds what the build decided: rkt's version and the stage1
// image that is used when nobody names one. The linker sets these variables
// (see Makefile.in) and nothing changes them afterwards.
package version

// Set by the linker. A program built without it is a development build that
// knows no default stage1 image.
var (
	// Version is rkt's own version.
	Version = "0.0.0+dev"
	// DefaultStage1Name and DefaultStage1Version name the default stage1 image,
	// to be looked for in the store first.
	DefaultStage1Name    = ""
	DefaultStage1Version = ""
	// DefaultStage1Location is a path or URL from which the default stage1
	// image is fetched if the store has none; empty if there is no such place.
	DefaultStage1Location = ""
	// DefaultStage1File is the default stage1 image's file name, looked for in
	// the directory of the rkt program.
	DefaultStage1File = ""
	// DefaultStage1ImagesDir is the directory in which --stage1-from-dir looks.
	DefaultStage1ImagesDir = ""
)
