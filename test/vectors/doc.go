// Package vectors holds images and servers that are bad in some way, or good in a
// way that one could take for bad, each with what rkt must say of it. Every image
// goes to rkt as a file, from a URL and by its name; every server is asked by a
// URL and by a name. The rows are tables: add one where it belongs.
package vectors
