package vectors

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// join answers a CONNECT request and passes bytes on between who asked and an
// address, both ways, until either has enough.
func join(t *testing.T, w http.ResponseWriter, address string) {
	t.Helper()
	there, err := net.Dial("tcp", address) //nolint:noctx // it is closed below
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer there.Close()
	here, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	if _, err := io.WriteString(here, "HTTP/1.1 200 Connected\r\n\r\n"); err != nil {
		return
	}
	ended := make(chan struct{}, 2)
	go func() { _, _ = io.Copy(there, buffered); ended <- struct{}{} }()
	go func() { _, _ = io.Copy(here, there); ended <- struct{}{} }()
	<-ended
}
