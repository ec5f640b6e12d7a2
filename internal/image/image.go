// Package image knows how people name images: the strings of the command line
// and what they stand for. The packages below it fetch, check, store and
// render what is named.
package image
