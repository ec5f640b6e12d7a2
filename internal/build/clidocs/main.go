// Clidocs writes what there is to know about rkt's commands, out of the commands
// themselves:
//
//	clidocs -reference FILE     the reference for readers of the tree
//	clidocs -man DIR            manual pages, one a command
//
// The pages must come out the same wherever and whenever they are made.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"rkt/internal/cli"
)

func main() {
	reference := flag.String("reference", "", "file for the reference")
	man := flag.String("man", "", "directory for the manual pages")
	flag.Parse()
	if err := write(*reference, *man); err != nil {
		fmt.Fprintln(os.Stderr, "clidocs:", err)
		os.Exit(1)
	}
}

func write(reference, man string) error {
	if reference == "" && man == "" {
		return errors.New("nothing to write")
	}
	if reference != "" {
		if err := writeFile(reference, cli.WriteReference); err != nil {
			return err
		}
	}
	if man == "" {
		return nil
	}
	root := cli.Commands()
	root.DisableAutoGenTag = true
	prepare(root)
	return writePages(root, man)
}

// prepare turns text that was written for terminals into Markdown, which the
// pages are made of.
func prepare(cmd *cobra.Command) {
	cmd.Long = strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(cmd.Long)
	for _, sub := range cmd.Commands() {
		prepare(sub)
	}
}

func writePages(cmd *cobra.Command, dir string) error {
	if cmd.Hidden {
		return nil
	}
	page := func(w io.Writer) error {
		// There is no date in the text, and this one stays as it is.
		date := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
		title := strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-"))
		return doc.GenMan(cmd, &doc.GenManHeader{Title: title, Section: "1", Source: "rkt", Manual: "rkt commands", Date: &date}, w)
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := writeFile(filepath.Join(dir, name), page); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if sub.Name() == "help" {
			continue
		}
		if err := writePages(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
