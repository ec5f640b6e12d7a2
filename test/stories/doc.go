// Package stories tests rkt from the outside: each file *.txt tells one story
// about its command line, with real processes, locks, images and signatures.
// Only what runs the pods is a stand-in, see test/stage1-script, so that no story
// needs a virtual machine.
package stories
