// Package vectors lets bad images and servers at rkt, and those that are good in a
// way that one could take for bad, and compares what rkt says of them with what it
// must. Every image of package hostile goes to rkt as a file, from a URL and by its
// name; every server is asked by a URL and by a name. The rows are tables: add one
// where it belongs.
package vectors
