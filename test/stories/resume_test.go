package stories_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"rkt/internal/image/imagetest"
	"rkt/internal/linux"
)

// halfServer serves an image, whole or a part of it, but only half of it to who
// asks first.
type halfServer struct {
	image []byte

	mu     sync.Mutex
	ranges []string // that were asked for
	sent   int      // bytes of the last answer
}

func (s *halfServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ranges = append(s.ranges, r.Header.Get("Range"))
	first := len(s.ranges) == 1
	s.sent = 0
	s.mu.Unlock()
	w.Header().Set("ETag", `"one"`)
	if first {
		w.Header().Set("Content-Length", fmt.Sprint(len(s.image)))
		_, _ = w.Write(s.image[:len(s.image)/2])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	http.ServeContent(counter{w, s}, r, "", time.Time{}, strings.NewReader(string(s.image)))
}

// counter counts what its server sends, before it does.
type counter struct {
	http.ResponseWriter
	s *halfServer
}

func (c counter) Write(p []byte) (int, error) {
	c.s.mu.Lock()
	c.s.sent += len(p)
	c.s.mu.Unlock()
	return c.ResponseWriter.Write(p)
}

// resumed kills rkt in the middle of a download, and counts what comes over the
// wire when the image is fetched again.
func resumed(t *testing.T, p programs) {
	t.Helper()
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = byte(rand.IntN(256)) //nolint:gosec // any will do
	}
	server := &halfServer{image: imagetest.ACI(t, imagetest.Manifest("example.com/large", "1", nil), imagetest.File("rootfs/large", string(random)))}
	s := httptest.NewServer(server)
	defer s.Close()
	at := newPlace(t, p)
	at.must(t, "image", "list") // makes the store
	fetch := []string{"--insecure-options=image,http", "fetch", "--full", s.URL + "/large.aci"}
	cmd := at.command(t, fetch...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := awaitSize(at.dir+"/data/cas/tmp", len(server.image)/2); err != nil {
		t.Error(err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	id := strings.TrimSpace(at.must(t, fetch...))
	if half := len(server.image) / 2; server.ranges[1] != fmt.Sprintf("bytes=%d-", half) || server.sent != len(server.image)-half || len(server.ranges) != 2 {
		t.Errorf("asked for %q, the last time for %d bytes of %d", server.ranges, server.sent, len(server.image))
	}
	at.must(t, "image", "verify", id)
	at.must(t, "image", "rm", id)
	if err := errors.Join(leftovers(at.dir+"/data"), emptyStore(at.dir+"/data")); err != nil {
		t.Error(err)
	}
}

// awaitSize waits until a file in a directory has so many bytes.
func awaitSize(dir string, bytes int) error {
	watch, err := linux.NewWatch()
	if err != nil {
		return err
	}
	defer watch.Close()
	if err := watch.AddContents(dir); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		files, err := filepath.Glob(dir + "/sha512-*")
		if err != nil {
			return err
		}
		for _, path := range files {
			if info, err := os.Stat(path); err == nil && info.Size() == int64(bytes) {
				return nil
			}
		}
		if err := watch.Wait(ctx); err != nil {
			return err
		}
	}
}
