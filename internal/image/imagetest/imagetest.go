// Package imagetest builds and signs images for tests.
package imagetest
