package network

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pluginCase is a configuration for a machine: what it is about and, unless it is
// refused, who answers there.
type pluginCase struct {
	plugins string // those that the case shows something of, with blanks between
	config  string // the "plugins" of a list
	gateway string // who must answer the machine
	refused string
}

func pluginCases() []pluginCase {
	const (
		bridge = `{"type":"bridge","bridge":"br-x","isGateway":true,"ipam":{"type":"host-local","subnet":"10.71.0.0/24"}}`
		ptp    = `{"type":"ptp","ipMasq":true,"ipam":{"type":"host-local","subnet":"10.72.0.0/24"}}`
		fixed  = `"ipam":{"type":"static","addresses":[{"address":"10.9.9.30/24"}]}`
		plain  = `"ipam":{"type":"static","addresses":[{"address":"10.73.0.2/24"}]}`
	)
	return []pluginCase{
		{plugins: "bridge host-local", config: bridge, gateway: "10.71.0.1"},
		{plugins: "ptp", config: ptp, gateway: "10.72.0.1"},
		{plugins: "macvlan static", config: `{"type":"macvlan","master":"uplink",` + fixed + `}`, gateway: "10.9.9.2"},
		{plugins: "portmap", config: bridge + `,{"type":"portmap","capabilities":{"portMappings":true}}`, gateway: "10.71.0.1"},
		{plugins: "firewall", config: bridge + `,{"type":"firewall"}`, gateway: "10.71.0.1"},
		{plugins: "tuning", config: bridge + `,{"type":"tuning","mtu":1400,"mac":"02:00:00:00:00:77"}`, gateway: "10.71.0.1"},
		{plugins: "rkt-guard", config: ptp + `,{"type":"rkt-guard"}`, gateway: "10.72.0.1"},
		{plugins: "loopback", config: `{"type":"loopback"}`, refused: "every pod has a loop-back"},
		{plugins: "ipvlan", config: `{"type":"ipvlan","master":"uplink",` + fixed + `}`, refused: "shares the address"},
		{plugins: "host-device", config: `{"type":"host-device","device":"uplink",` + plain + `}`, refused: "no Ethernet on both sides"},
		{plugins: "tap", config: `{"type":"tap",` + plain + `}`, refused: "no Ethernet on both sides"},
		{plugins: "dummy", config: `{"type":"dummy",` + plain + `}`, refused: "no Ethernet on both sides"},
		{plugins: "dhcp", config: `{"type":"bridge","bridge":"br-x","ipam":{"type":"dhcp"}}`, refused: "keeps the lease"},
		{plugins: "sbr", config: bridge + `,{"type":"sbr"}`, refused: "routing rules"},
		{plugins: "vrf", config: bridge + `,{"type":"vrf","vrfname":"x"}`, refused: "routing rules"},
	}
}

// TestPlugins: what docs/networking.md says of each plugin that stage1 images
// carry, with a machine that asks for its gateway and gets an answer.
func TestPlugins(t *testing.T) {
	var carried map[string]bool
	for _, c := range pluginCases() {
		t.Run(c.plugins, func(t *testing.T) {
			h := needHost(t)
			if carried == nil {
				carried = h.carried()
			}
			c.try(h)
		})
		for _, name := range strings.Fields(c.plugins) {
			delete(carried, name)
		}
	}
	for name := range carried {
		t.Errorf("no case is about the plugin %s", name)
	}
}

// carried lists the plugins of stage1 images.
func (h *host) carried() map[string]bool {
	h.Helper()
	entries, err := os.ReadDir(h.plugins)
	if err != nil {
		h.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range entries {
		all[e.Name()] = true
	}
	return all
}

func (c pluginCase) try(h *host) {
	h.Helper()
	h.configure("10-x.conflist", `{"name":"x","cniVersion":"1.0.0","plugins":[`+c.config+`]}`)
	o := h.options("x")
	o.Refuse = RefuseInMachine
	n, err := Setup(h.Context(), o)
	if c.refused != "" {
		if err == nil || !strings.Contains(err.Error(), c.refused) {
			h.Errorf("got %v, want %q", err, c.refused)
		}
		h.clean()
		return
	}
	if err != nil {
		h.Fatal(err)
	}
	defer n.Close()
	c.expectAnswer(h, n)
	h.teardown()
	if strings.Contains(c.config, "br-x") {
		h.output("ip", "link", "del", "br-x") // a bridge stays for the next pod
	}
	h.clean()
}

// expectAnswer asks for the gateway's Ethernet address as a machine does.
func (c pluginCase) expectAnswer(h *host, n *Network) {
	h.Helper()
	taps, err := n.Taps()
	if err != nil {
		h.Fatal(err)
	}
	defer taps[0].Close()
	own, err := net.ParseMAC(n.Interfaces[0].MAC)
	if err != nil {
		h.Fatal(err)
	}
	gateway := netip.MustParseAddr(c.gateway)
	question := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, own...)
	question = append(question, n.Interfaces[0].Addresses[0].Addr().AsSlice()...)
	question = append(append(question, make([]byte, 6)...), gateway.AsSlice()...)
	if _, err := taps[0].Write(append(make([]byte, vnetHeader), frame{"", unix.ETH_P_ARP, question}.bytes(own)...)); err != nil {
		h.Fatal(err)
	}
	if err := taps[0].SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		h.Fatal(err)
	}
	const ethernet = 14
	for b := make([]byte, 2000); ; {
		got, err := taps[0].Read(b)
		if err != nil {
			h.Fatalf("nobody answers: %v", err)
		}
		f := b[min(vnetHeader, got):got]
		if len(f) >= ethernet+28 && binary.BigEndian.Uint16(f[12:]) == unix.ETH_P_ARP &&
			f[ethernet+7] == 2 && slices.Equal(f[ethernet+14:ethernet+18], gateway.AsSlice()) {
			return
		}
	}
}

// vnetHeader is before each frame of a tap.
const vnetHeader = 10

// TestPluginsAreDocumented compares the table in docs/networking.md with what is
// refused.
func TestPluginsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/networking.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| plugin | with a virtual machine |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[string]bool{}
	for line := range strings.Lines(table) {
		columns := strings.Split(line, "|")
		if len(columns) != 4 || strings.HasPrefix(columns[1], "-") {
			continue
		}
		for name := range strings.SplitSeq(columns[1], ",") {
			name = strings.TrimSpace(name)
			documented[name] = true
			if refused := strings.HasPrefix(strings.TrimSpace(columns[2]), "refused"); refused != (RefuseInMachine(name) != "") {
				t.Errorf("%s: the table says %q, the program %q", name, columns[2], RefuseInMachine(name))
			}
		}
	}
	for _, c := range pluginCases() {
		for _, name := range strings.Fields(c.plugins) {
			if !documented[name] {
				t.Errorf("the table has no %s", name)
			}
		}
	}
}
