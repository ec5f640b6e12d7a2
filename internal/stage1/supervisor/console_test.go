package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConsoleInBackground shows that a console is kept in a log where stderr is a
// file, and goes to stderr where it is not. The tests' own stderr is either.
func TestConsoleInBackground(t *testing.T) {
	t.Chdir(t.TempDir())
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	file, err := os.Create("stage1.log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	os.Stderr = file
	to, err := console()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := to.Write([]byte("hello from the kernel\n")); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("console/*.log")
	if len(files) != 1 {
		t.Fatalf("files %q", files)
	}
	if text, _ := os.ReadFile(files[0]); !strings.HasSuffix(string(text), " console F hello from the kernel\n") {
		t.Errorf("the log has %q", text)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 0 {
		t.Errorf("stage1.log: %v, %v", info, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	os.Stderr = null
	if to, err := console(); err != nil || to != null {
		t.Errorf("on no file: %v, %v", to, err)
	}
}
