// Package config reads rkt's configuration files: credentials for servers and
// registries, where things are kept, and the stage1 image that pods run in when
// nobody names one.
//
// A file holds one JSON document, which says by its rktKind what it is about.
// The kinds and their fields, the directories and which of them wins are those
// of rkt 1.30.
package config
