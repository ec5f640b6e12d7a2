package linux_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"rkt/internal/linux"
)

// niceEnv tells this test's program to be the one whose threads are looked at.
const niceEnv = "RKT_TEST_SET_NICE"

// TestSetNice has a program with several threads, in one of which the value is
// another one from the start, take a value.
func TestSetNice(t *testing.T) {
	if os.Getenv(niceEnv) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestSetNice$")
		cmd.Env = append(os.Environ(), niceEnv+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	// Threads that wait in a system call are of the program as well.
	for range 4 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		blocked := make(chan struct{})
		go func() {
			close(blocked)
			fd := r.Fd() // makes reading block a thread
			_, _ = os.NewFile(fd, "pipe").Read(make([]byte, 1))
		}()
		<-blocked
	}
	for _, nice := range []int{5, 7} { // not root's alone: only ever higher
		if err := linux.SetNice(nice); err != nil {
			t.Fatal(err)
		}
		for thread, got := range niceValues(t) {
			if got != nice {
				t.Errorf("thread %s has %d, want %d", thread, got, nice)
			}
		}
	}
}

// niceValues returns the values of this program's threads.
// Format: proc(5), /proc/PID/stat.
func niceValues(t *testing.T) map[string]int {
	files, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil || len(files) < 2 {
		t.Fatalf("threads: %v, %v", files, err)
	}
	values := map[string]int{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		const field = 19 - 3
		value, err := strconv.Atoi(strings.Fields(rest)[field])
		if err != nil {
			t.Fatal(err)
		}
		values[file] = value
	}
	return values
}
