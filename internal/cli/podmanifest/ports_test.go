package podmanifest_test

import (
	"strings"
	"testing"

	"rkt/internal/cli/podmanifest"
)

func TestParsePort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]podmanifest.ExposedPort{
		"http:80":               {Name: "http", HostPort: 80},
		"http:1.2.3.4:80":       {Name: "http", HostIP: "1.2.3.4", HostPort: 80},
		"6379-tcp:80":           {Name: "6379-tcp", HostPort: 80},
		"http:[::1]:80":         {Name: "http", HostIP: "::1", HostPort: 80},
		"8080:80":               {HostPort: 8080},
		"127.0.0.1:8080:80/udp": {HostIP: "127.0.0.1", HostPort: 8080},
		"[fd00::1]:8080:80/tcp": {HostIP: "fd00::1", HostPort: 8080},
	} {
		got, err := podmanifest.ParsePort(text)
		if err != nil || got.HostIP != want.HostIP || got.HostPort != want.HostPort {
			t.Errorf("%s: got %+v (%v)", text, got, err)
		}
		if want.Name != "" && (got.Name != want.Name || got.PodPort != nil) {
			t.Errorf("%s: got %+v", text, got)
		}
		protocol := "tcp"
		if strings.HasSuffix(text, "/udp") {
			protocol = "udp"
		}
		if want.Name == "" && (got.PodPort == nil || got.PodPort.Port != 80 || got.PodPort.Protocol != protocol) {
			t.Errorf("%s: leads to %+v", text, got.PodPort)
		}
	}
}

func TestParsePortRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":              `"" is not in name:[ip:]port format`,
		"http":          `"http" is not in name:[ip:]port format`,
		"a:b:c:d":       `is not in name:[ip:]port format`,
		"http:[::1:80":  `is not in name:[ip:]port format`,
		"Http:80":       `"Http" is not a valid port name`,
		"http:there:80": `"there" is not a valid IP`,
		"http:0":        `"0" is not a valid port number`,
		"http:65536":    `"65536" is not a valid port number`,
		"http:+80":      `"+80" is not a valid port number`,
		"8080:http":     `"http" is not a valid port number`,
		"8080:80/sctp":  `"sctp" is not a protocol`,
		"there:8080:80": `"there" is not a valid IP`,
	} {
		_, err := podmanifest.ParsePort(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParsePort(f *testing.F) {
	f.Add("http:80")
	f.Add("[::1]:8080:80/udp")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := podmanifest.ParsePort(text)
		if err == nil && (p.HostPort == 0 || p.HostPort > 65535 || p.Name == "") {
			t.Errorf("%q became %+v", text, p)
		}
	})
}
