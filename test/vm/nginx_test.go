package vm

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"rkt/internal/network/networktest"
)

// nginxImage returns an image of Debian's web server, whose unpacked packages
// RKT_TEST_NGINX names.
func nginxImage(t *testing.T) []byte {
	t.Helper()
	packages := os.Getenv("RKT_TEST_NGINX")
	if packages == "" {
		t.Fatal("RKT_TEST_NGINX is not set: it names the directory of Debian's packages nginx and nginx-common")
	}
	return recipeImage(t, "../nginx/nginx.recipe", map[string][]string{"package": {packages}},
		"example.com/nginx", "/usr/sbin/nginx", "-g", "daemon off;")
}

// welcome is on the page that Debian's nginx shows.
const welcome = "Welcome to nginx!"

// browse returns a page, when it is there.
func browse(t *testing.T, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // whatever the environment says of proxies
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := direct.Do(request)
		if err == nil {
			defer response.Body.Close()
			page, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(page)
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // no event tells when nginx listens
	}
}

// TestNginx: the web server of the distribution, in a machine, on a published
// port.
func TestNginx(t *testing.T) {
	h, before := needNetwork(t)
	image := h.write("nginx.aci", nginxImage(t))
	published := networktest.HostAddress + ":18090"
	server := h.start("--insecure-options=image", "--net=default", "--port=18090:80", image, "--memory=128Mi")
	for _, address := range []string{published, "127.0.0.1:18090"} {
		if page := browse(t, address); !strings.Contains(page, welcome) {
			t.Errorf("%s says\n%s", address, page)
		}
	}
	const line = "HTTP/1.1 400 Bad Request" // to what the probe does not say
	if got := fromOutside(t, published, "x\n\n"); !strings.HasPrefix(got, line) {
		t.Errorf("from outside: %q", got)
	}
	said := h.start("--net=default", probeID(t), "--", "connect", published, "x\n").expect(0).Stdout
	if !strings.Contains(said, "answer "+line) {
		t.Errorf("another pod sees\n%s", said)
	}
	server.signal(syscall.SIGTERM)
	server.wait()
	h.expectNetworkState(before)

	restricted := h.start("--insecure-options=image", "--net=default-restricted", "--port=18090:80", image, "--memory=128Mi")
	// It knows no way to addresses that are not on its network.
	if page := browse(t, "127.0.0.1:18090"); !strings.Contains(page, welcome) {
		t.Errorf("restricted, from the host: %s", page)
	}
	if got := silentOutside(t, published, "x\n\n"); strings.HasPrefix(got, "HTTP/") {
		t.Errorf("restricted, from outside: %q", got)
	}
	restricted.signal(syscall.SIGTERM)
	restricted.wait()
	h.expectNetworkState(before)
}
