package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// printText writes to both outputs: texts as they are, without a line end, then
// numbered lines of a given width to stdout.
func printText(args []string) error {
	flags := flag.NewFlagSet("print", flag.ContinueOnError)
	out := flags.String("out", "", "text for stdout")
	errText := flags.String("err", "", "text for stderr")
	lines := flags.Int("lines", 0, "number of lines")
	width := flags.Int("width", 8, "characters in each line")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprint(os.Stdout, *out)
	fmt.Fprint(os.Stderr, *errText)
	w := bufio.NewWriter(os.Stdout)
	for i := range *lines {
		number := fmt.Sprintf("%07d ", i)
		fmt.Fprintln(w, number+strings.Repeat("x", max(0, *width-len(number))))
	}
	return w.Flush()
}

// echo copies stdin to stdout and says when it ended.
func echo([]string) error {
	fmt.Println("ready")
	n, err := io.Copy(os.Stdout, os.Stdin)
	if err != nil {
		return err
	}
	fmt.Printf("end after %d bytes\n", n)
	return nil
}

// copyInput copies stdin to stdout and says nothing.
func copyInput([]string) error {
	_, err := io.Copy(os.Stdout, os.Stdin)
	return err
}

// zeros writes so many zero bytes to stdout.
func zeros(args []string) error {
	n, err := oneNumber(args)
	if err != nil {
		return err
	}
	buffer := make([]byte, 1<<16)
	for n > 0 {
		written, err := os.Stdout.Write(buffer[:min(n, len(buffer))])
		if err != nil {
			return err
		}
		n -= written
	}
	return nil
}

// tty prints the size of its terminal, again whenever that changes, and the
// lines and signals that come from it, until a line "quit".
func tty([]string) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGINT)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			lines <- s.Text()
		}
	}()
	if err := printSize(); err != nil {
		return err
	}
	for {
		select {
		case s := <-signals:
			if s == syscall.SIGINT {
				fmt.Println("interrupted")
				continue
			}
			if err := printSize(); err != nil {
				return err
			}
		case line, open := <-lines:
			if !open || line == "quit" {
				fmt.Println("bye")
				return nil
			}
			fmt.Printf("line %q\n", line)
		}
	}
}

func printSize() error {
	size, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ)
	if err != nil {
		return fmt.Errorf("size of the terminal: %w", err)
	}
	name := "no controlling terminal"
	if f, err := os.Open("/dev/tty"); err == nil {
		f.Close()
		name = "controlling terminal"
	}
	fmt.Printf("size %dx%d, %s\n", size.Row, size.Col, name)
	return nil
}
