package stage1

import (
	"fmt"
	"strings"
)

// Files in a pod's directory that stage0 writes for DNSFiles.
const (
	ResolvConfFile = "stage1/rootfs/etc/rkt-resolv.conf"
	HostsFile      = "stage1/rootfs/etc/rkt-hosts"
)

// DNSSource says where apps get a file from that they look names up in.
type DNSSource string

// Sources. Source of the words: rkt 1.30.
const (
	DNSDefault DNSSource = "default" // resolv.conf from the networks; a hosts file for apps without
	DNSStage0  DNSSource = "stage0"  // ResolvConfFile and HostsFile
	DNSHost    DNSSource = "host"    // the host's file
	DNSNone    DNSSource = "none"    // nothing, whatever the networks say; only for resolv.conf
)

// DNSMode says it for both files. The zero value is the default for both.
type DNSMode struct{ Resolv, Hosts DNSSource }

// String writes what ParseDNSMode reads, nothing for the default.
func (m DNSMode) String() string {
	m = m.complete()
	if m == (DNSMode{}).complete() {
		return ""
	}
	return fmt.Sprintf("resolv=%s,hosts=%s", m.Resolv, m.Hosts)
}

func (m DNSMode) complete() DNSMode {
	if m.Resolv == "" {
		m.Resolv = DNSDefault
	}
	if m.Hosts == "" {
		m.Hosts = DNSDefault
	}
	return m
}

// ParseDNSMode reads resolv=SOURCE,hosts=SOURCE, in any order; what is missing
// is the default.
func ParseDNSMode(text string) (DNSMode, error) {
	m := DNSMode{}.complete()
	if text == "" {
		return m, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(word, "=")
		source := DNSSource(value)
		known := source == DNSDefault || source == DNSStage0 || source == DNSHost
		switch {
		case name == "resolv" && (known || source == DNSNone):
			m.Resolv = source
		case name == "hosts" && known:
			m.Hosts = source
		default:
			return m, fmt.Errorf("%q is not resolv=SOURCE or hosts=SOURCE", word)
		}
	}
	return m, nil
}
