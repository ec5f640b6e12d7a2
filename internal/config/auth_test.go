package config

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAuthorize(t *testing.T) {
	t.Parallel()
	a := (&Config{Auth: map[string]Auth{
		"example.com":      {Type: AuthBasic, User: "u", Password: "p"},
		"example.com:8443": {Type: AuthOAuth, Token: "t"},
		"[::1]":            {Type: AuthOAuth, Token: "six"},
	}}).Authorizer()
	for url, want := range map[string]string{
		"https://example.com/a":          "Basic dTpw",
		"https://EXAMPLE.com:443/a":      "Basic dTpw",
		"https://example.com:8443/":      "Bearer t",
		"https://[::1]/":                 "Bearer six",
		"http://example.com/":            "",
		"http://example.com:8443/":       "",
		"https://example.com:8444/":      "",
		"https://sub.example.com/":       "",
		"https://example.com.evil.test/": "",
	} {
		r := httptest.NewRequest(http.MethodGet, url, nil)
		if err := a.Authorize(r); err != nil || r.Header.Get("Authorization") != want {
			t.Errorf("%s: %q, %v, want %q", url, r.Header.Get("Authorization"), err, want)
		}
	}
	if diff := cmp.Diff([]string{"example.com", "example.com:8443"}, (&Config{Auth: map[string]Auth{"example.com:8443": {}, "example.com": {}}}).Hosts()); diff != "" {
		t.Error(diff)
	}
}

// TestRedirects shows that credentials reach the server that they are for, by
// whatever way the request comes to it, and no other.
func TestRedirects(t *testing.T) {
	t.Parallel()
	var seen []string
	var first, second *httptest.Server
	note := func(name string, next func() string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, name+" "+r.Header.Get("Authorization"))
			if to := next(); to != "" {
				http.Redirect(w, r, to, http.StatusFound)
			}
		})
	}
	plain := httptest.NewServer(note("plain", func() string { return "" }))
	defer plain.Close()
	second = httptest.NewTLSServer(note("second", func() string { return plain.URL }))
	defer second.Close()
	first = httptest.NewTLSServer(note("first", func() string { return second.URL }))
	defer first.Close()
	c := &Config{Auth: map[string]Auth{
		strings.TrimPrefix(first.URL, "https://"): {Type: AuthBasic, User: "u", Password: "p"},
		strings.TrimPrefix(plain.URL, "http://"):  {Type: AuthOAuth, Token: "plain"},
	}}
	insecure := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer insecure.CloseIdleConnections()
	client := &http.Client{Transport: c.Authorizer().Transport(insecure)}
	response, err := client.Get(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if diff := cmp.Diff([]string{"first Basic dTpw", "second ", "plain "}, seen); diff != "" {
		t.Error(diff)
	}

	seen = nil
	c.Auth[strings.TrimPrefix(second.URL, "https://")] = Auth{Type: AuthOAuth, Token: "t"}
	response, err = client.Get(first.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if diff := cmp.Diff([]string{"first Basic dTpw", "second Bearer t", "plain "}, seen); diff != "" {
		t.Error(diff)
	}
}

// TestAWS checks the signature against the one that Amazon's documentation
// works out, "Examples: Signature Calculations in AWS Signature Version 4" of
// the S3 API Reference, "GET Object".
func TestAWS(t *testing.T) {
	t.Parallel()
	a := &Authorizer{
		auth: map[string]Auth{"examplebucket.s3.amazonaws.com": {
			Type: AuthAWS, AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		}},
		now: func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) },
	}
	r := httptest.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	r.Header.Set("Range", "bytes=0-9")
	if err := a.Authorize(r); err != nil {
		t.Fatal(err)
	}
	const want = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, " +
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, " +
		"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := r.Header.Get("X-Amz-Date"); got != "20130524T000000Z" {
		t.Error(got)
	}
	if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 {
		t.Errorf("%q, %v", body, err)
	}
}

func TestRegion(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"s3.amazonaws.com":                            "us-east-1",
		"s3.amazonaws.com:8443":                       "us-east-1",
		"bucket.s3.amazonaws.com":                     "us-east-1",
		"bucket.with.s3.dots.s3.amazonaws.com":        "us-east-1",
		"bucket.s3-external-1.amazonaws.com":          "us-east-1",
		"s3.eu-central-1.amazonaws.com":               "eu-central-1",
		"bucket.s3.eu-central-1.amazonaws.com":        "eu-central-1",
		"bucket.s3-eu-west-1.amazonaws.com":           "eu-west-1",
		"bucket.s3.dualstack.us-west-2.amazonaws.com": "us-west-2",
		"b.s3-fips.us-gov-west-1.amazonaws.com":       "us-gov-west-1",
		"b.s3.cn-north-1.amazonaws.com.cn":            "cn-north-1",
		"bucket.s3-accelerate.amazonaws.com":          "",
		"amazonaws.com":                               "",
		"ec2.us-east-1.amazonaws.com":                 "",
		"s3.example.com":                              "",
	} {
		if got := regionOf(host); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
