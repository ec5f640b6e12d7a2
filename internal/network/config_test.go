package network

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rkt/internal/stage1"
)

// TestLoad shows which file counts for which network, and in which order.
func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "net.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"10-z.conf":       `{"name":"z","type":"ptp"}`,
		"50-a.conflist":   `{"name":"a","plugins":[{"type":"bridge"},{"type":"tuning"}]}`,
		"60-again.conf":   `{"name":"a","type":"macvlan"}`,
		"20-default.conf": `{"name":"default","type":"bridge"}`,
		"README":          `not a configuration`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "net.d", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(d.names(), " "); got != "z default a default-restricted" {
		t.Errorf("networks: %s", got)
	}
	if kind := d.get("a").list.Plugins[0].Network.Type; kind != "bridge" {
		t.Errorf("the second file named a counts: %s", kind)
	}
	notices := strings.Join(d.Notices, "\n")
	for _, want := range []string{`overriding "default" network with one from ` + dir, "ignoring " + dir + "/net.d/60-again.conf"} {
		if !strings.Contains(notices, want) {
			t.Errorf("no notice %q in\n%s", want, notices)
		}
	}
	chosen, err := d.choose(stage1.NetRequests{{Name: "a", Args: "IP=1.2.3.4"}, {Name: "all"}})
	if err != nil || len(chosen) != 4 || chosen[2].args != "IP=1.2.3.4" {
		t.Errorf("chose %+v (%v)", chosen, err)
	}
}

func TestParseDefinitionRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                              "unexpected end",
		`[]`:                            "cannot unmarshal array",
		`{}`:                            `neither "plugins" nor a "type"`,
		`{"type":"ptp"}`:                "no name",
		`{"name":"a/b","type":"ptp"}`:   "invalid characters",
		`{"name":"a","type":"../ptp"}`:  "is not the name of a plugin",
		`{"name":"a","plugins":[]}`:     "no plugins",
		`{"name":"host","type":"ptp"}`:  "has a meaning of its own",
		`{"name":"a","plugins":[{}]}`:   "missing 'type'",
		`{"name":"a","plugins":{"a":1}`: "unexpected end",
	} {
		_, err := parseDefinition([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestPortsCollide(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ports []PortMapping
		want  string
	}{
		{[]PortMapping{{80, 8080, "tcp", ""}, {80, 81, "udp", ""}}, ""},
		{[]PortMapping{{80, 8080, "tcp", "1.2.3.4"}, {80, 81, "tcp", "1.2.3.5"}}, ""},
		{
			[]PortMapping{{80, 8080, "tcp", "1.2.3.4"}, {80, 81, "tcp", "1.2.3.4"}},
			"port tcp-1.2.3.4:80 already mapped to pod port 8080",
		},
		{[]PortMapping{{80, 8080, "tcp", ""}, {80, 81, "tcp", "1.2.3.4"}}, "already mapped to pod port 8080"},
		{[]PortMapping{{80, 8080, "sctp", ""}}, "only tcp and udp"},
	} {
		err := checkPorts(test.ports)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: got %v, want %q", test.ports, err, test.want)
		}
	}
}

// TestForward adds a plugin that forwards ports to a configuration without.
func TestForward(t *testing.T) {
	t.Parallel()
	a := &attachment{Interface: "eth0", Config: []byte(`{"name":"a","cniVersion":"1.0.0","plugins":[{"type":"ptp","ipMasq":true}]}`)}
	if err := a.parse(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is one
		if err := a.forward([]PortMapping{{80, 8080, "tcp", ""}}); err != nil {
			t.Fatal(err)
		}
	}
	if !forwards(a.list) || len(a.list.Plugins) != 2 || !masquerades(a.list) {
		t.Errorf("%s", a.Config)
	}
}

func FuzzParseDefinition(f *testing.F) {
	f.Add([]byte(`{"name":"a","type":"ptp","ipam":{"type":"host-local"}}`))
	f.Add([]byte(`{"name":"a","cniVersions":["1.0.0"],"plugins":[{"type":"bridge"}],"rkt":{"allowSpoofing":true}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := parseDefinition(b)
		if err != nil {
			return
		}
		// What was accepted is what is written down and read again by gc.
		again, err := parseDefinition(d.list.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", d.list.Bytes, err)
		}
		if again.Name != d.Name || again.policy != d.policy || len(again.list.Plugins) != len(d.list.Plugins) {
			t.Errorf("%+v became %+v", d, again)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"attachments":[{"name":"a","interface":"eth0","config":{"name":"a","type":"ptp"}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err != nil {
			return
		}
		for _, a := range r.Attachments {
			if a.list == nil || slices.ContainsFunc([]rune(a.Interface), func(c rune) bool { return c == '/' }) {
				t.Errorf("accepted %+v", a)
			}
		}
	})
}
