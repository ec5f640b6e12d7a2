// Package linux holds every raw system call of the project, once, each behind
// a function that says what it promises. It knows nothing of pods or images.
package linux
