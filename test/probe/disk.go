package main

import (
	"errors"
	"fmt"
	"os"
)

// fillChunk is small enough for a writer to see the disk fill up.
const fillChunk = 1 << 20

// fill writes to a file, durably, until that fails, and says why it did.
func fill(args []string) error {
	if len(args) != 1 {
		return errors.New("a file is needed")
	}
	f, err := os.Create(args[0])
	if err != nil {
		return err
	}
	chunk := make([]byte, fillChunk)
	for i := range chunk {
		chunk[i] = byte(i*7 + i>>8) // nothing that could be stored as a hole
	}
	written := 0
	for {
		n, err := f.Write(chunk)
		written += n
		if err == nil {
			err = f.Sync()
		}
		if err != nil {
			fmt.Printf("disk full after %d MiB: %v\n", written>>20, err)
			return nil
		}
	}
}

// mark tells whether a file is there already, and makes it.
func mark(args []string) error {
	if len(args) != 1 {
		return errors.New("a file is needed")
	}
	f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		fmt.Println("there already")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println("new")
	return f.Close()
}
