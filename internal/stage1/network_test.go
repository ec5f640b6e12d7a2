package stage1_test

import (
	"strings"
	"testing"

	"rkt/internal/stage1"
)

func TestParseNetRequests(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"":                                       "",
		"default":                                "",
		"none":                                   "",
		"all":                                    "",
		"a,b:IP=1.2.3.4;K=,c":                    "",
		"default:IP=172.16.28.5;IP6=fd00::1":     "",
		"a,,b":                                   "netname must not be empty",
		":IP=1":                                  "netname must not be empty",
		"a,b,a:IP=1":                             `found duplicate netname "a"`,
		"all:IP=1":                               `arguments are not supported by special netname "all"`,
		"a:IP":                                   `network "a" provided with invalid arguments: "IP" is not NAME=VALUE`,
		"a:":                                     `network "a" provided with invalid arguments`,
		"a:K=\n":                                 `network "a" provided with invalid arguments`,
		"none,a":                                 `network "none" goes with no other`,
		"a,host":                                 `network "host" goes with no other`,
		strings.Repeat("x", 300) + ":A=1,y,none": `goes with no other`,
	} {
		requests, err := stage1.ParseNetRequests(list)
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", list, err)
		case want == "" && requests.String() != list:
			t.Errorf("%q became %q", list, requests)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got %v, want %q", list, err, want)
		}
	}
}

func FuzzParseNetRequests(f *testing.F) {
	f.Add("default:IP=1.2.3.4,a")
	f.Fuzz(func(t *testing.T, list string) {
		requests, err := stage1.ParseNetRequests(list)
		if err == nil && requests.String() != list {
			t.Errorf("%q became %q", list, requests)
		}
	})
}

func TestDNSMode(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]stage1.DNSMode{
		"":                          {Resolv: "default", Hosts: "default"},
		"resolv=host,hosts=stage0":  {Resolv: "host", Hosts: "stage0"},
		"resolv=none,hosts=default": {Resolv: "none", Hosts: "default"},
	} {
		got, err := stage1.ParseDNSMode(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q: got %+v, %q (%v)", text, got, got, err)
		}
	}
	for _, text := range []string{"resolv", "hosts=none", "other=host", "resolv=host,,"} {
		if got, err := stage1.ParseDNSMode(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}
