package stage1

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// Networks that need no configuration file.
const (
	NetworkNone    = "none"    // loop-back only
	NetworkHost    = "host"    // no network namespace of the pod's own
	NetworkAll     = "all"     // every network that is configured
	NetworkDefault = "default" // built in
)

// NetInfoFile lists the networks that a running pod is on, as JSON: an array
// of NetInfo. Source: rkt 1.30, which called it the same.
const NetInfoFile = "net-info.json"

// NetInfo is a pod's place on one network. A pod with several addresses of one
// family on a network shows the first.
type NetInfo struct {
	Name       string `json:"netName"`
	Config     string `json:"netConf"`    // path of the configuration as found, empty for a built-in one
	PluginPath string `json:"pluginPath"` // of the first plugin
	Interface  string `json:"ifName"`     // inside the pod
	IP         net.IP `json:"ip"`
	Args       string `json:"args"`
	Mask       net.IP `json:"mask"` // of IP
	IP6        net.IP `json:"ip6,omitempty"`
	MAC        string `json:"mac,omitempty"`
}

// NetRequest is one network of the --net list.
type NetRequest struct {
	Name string
	Args string // for the plugins, NAME=VALUE;…
}

// NetRequests is the --net list. Nothing asked for is the stage1's default.
type NetRequests []NetRequest

// ParseNetRequests reads NAME[:ARGS],NAME[:ARGS]….
func ParseNetRequests(list string) (NetRequests, error) {
	if list == "" {
		return nil, nil
	}
	var all NetRequests
	for word := range strings.SplitSeq(list, ",") {
		r, err := parseNetRequest(word)
		if err != nil {
			return nil, err
		}
		if all.Has(r.Name) {
			return nil, fmt.Errorf("found duplicate netname %q", r.Name)
		}
		all = append(all, r)
	}
	for _, special := range []string{NetworkNone, NetworkHost} {
		if all.Has(special) && len(all) > 1 {
			return nil, fmt.Errorf("network %q goes with no other", special)
		}
	}
	return all, nil
}

func parseNetRequest(word string) (NetRequest, error) {
	name, args, given := strings.Cut(word, ":")
	r := NetRequest{Name: name, Args: args}
	switch {
	case name == "":
		return r, errors.New("netname must not be empty")
	case !given:
		return r, nil
	case name == NetworkNone || name == NetworkHost || name == NetworkAll:
		return r, fmt.Errorf("arguments are not supported by special netname %q", name)
	}
	_, err := ParseNetArgs(args)
	if err != nil {
		return r, fmt.Errorf("network %q provided with invalid arguments: %w", name, err)
	}
	return r, nil
}

// ParseNetArgs splits NAME=VALUE;NAME=VALUE….
// Source: CNI spec 1.1.0, section 2, "CNI_ARGS".
func ParseNetArgs(args string) ([][2]string, error) {
	var pairs [][2]string
	for word := range strings.SplitSeq(args, ";") {
		name, value, given := strings.Cut(word, "=")
		if !given || name == "" || strings.ContainsFunc(word, isControl) {
			return nil, fmt.Errorf("%q is not NAME=VALUE", word)
		}
		pairs = append(pairs, [2]string{name, value})
	}
	return pairs, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// Has says whether the list names a network.
func (all NetRequests) Has(name string) bool {
	for _, r := range all {
		if r.Name == name {
			return true
		}
	}
	return false
}

// String writes the list as ParseNetRequests reads it.
func (all NetRequests) String() string {
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = r.Name
		if r.Args != "" {
			words[i] += ":" + r.Args
		}
	}
	return strings.Join(words, ",")
}

// HasNetwork says whether a pod with these networks has interfaces of its own
// besides loop-back.
func (all NetRequests) HasNetwork() bool {
	return len(all) > 0 && !all.Has(NetworkNone) && !all.Has(NetworkHost)
}
