package guard

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

func output(cmd *exec.Cmd, stdin []byte) (string, error) {
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(out), fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(exit.Stderr))
	}
	return string(out), err
}

// metadata is where clouds have it. Source: RFC 3927.
const metadata = "169.254.0.0/16"

// iptables keeps two chains of one name for each pod: PREROUTING of the table
// raw leads to the one, INPUT of the table filter to the other.
type iptables struct{}

// hooks are the chains that lead to a pod's, by table.
func hooks() map[string]string { return map[string]string{"raw": "PREROUTING", "filter": "INPUT"} }

// programs are iptables for both families; a host may lack the second.
func (iptables) programs() []string {
	all := []string{"iptables"}
	if has("ip6tables") {
		all = append(all, "ip6tables")
	}
	return all
}

func (i iptables) protect(chain string, p pod) error {
	if err := i.release(chain); err != nil {
		return err // of a start that was killed
	}
	for _, program := range i.programs() {
		script := i.script(chain, p, program == "ip6tables")
		if _, err := run([]byte(script), program+"-restore", "-w", "--noflush"); err != nil {
			return err
		}
	}
	return nil
}

// script is what iptables-restore reads.
func (iptables) script(chain string, p pod, six bool) string {
	var raw, filter strings.Builder
	icmp := "icmp"
	if six {
		icmp = "ipv6-icmp"
		// Neighbours are found with these.
		fmt.Fprintf(&raw, "-A %[1]s -s fe80::/10 -j RETURN\n-A %[1]s -s ::/128 -j RETURN\n", chain)
	} else {
		fmt.Fprintf(&raw, "-A %s -d %s -j DROP\n", chain, metadata)
	}
	for _, source := range p.sources {
		if source.Is6() == six {
			fmt.Fprintf(&raw, "-A %s -s %s -j RETURN\n", chain, source)
		}
	}
	fmt.Fprintf(&raw, "-A %s -j DROP\n", chain)
	fmt.Fprintf(&filter, "-A %s -p %s -j RETURN\n", chain, icmp)
	fmt.Fprintf(&filter, "-A %s -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN\n", chain)
	for _, service := range p.services {
		if service.Addr().Is6() == six {
			fmt.Fprintf(&filter, "-A %s -p tcp -d %s --dport %d -j RETURN\n", chain, service.Addr(), service.Port())
		}
	}
	fmt.Fprintf(&filter, "-A %s -j DROP\n", chain)
	for _, name := range p.interfaces {
		fmt.Fprintf(&raw, "-I PREROUTING 1 -i %s -j %s\n", name, chain)
		fmt.Fprintf(&filter, "-I INPUT 1 -i %s -j %s\n", name, chain)
	}
	return fmt.Sprintf("*raw\n:%[1]s - [0:0]\n%[2]sCOMMIT\n*filter\n:%[1]s - [0:0]\n%[3]sCOMMIT\n", chain, &raw, &filter)
}

// release removes the ways to the chains, then the chains.
func (i iptables) release(chain string) error {
	for _, program := range i.programs() {
		for table, hook := range hooks() {
			if err := i.releaseTable(program, table, hook, chain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (iptables) releaseTable(program, table, hook, chain string) error {
	rules, err := run(nil, program, "-w", "-t", table, "-S")
	if err != nil {
		return err
	}
	var script strings.Builder
	for line := range strings.Lines(rules) {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "-A" && fields[1] == hook && fields[len(fields)-1] == chain {
			fields[0] = "-D"
			script.WriteString(strings.Join(fields, " ") + "\n")
		}
	}
	if hasLine(rules, "-N "+chain) {
		fmt.Fprintf(&script, "-F %[1]s\n-X %[1]s\n", chain)
	}
	if script.Len() == 0 {
		return nil
	}
	_, err = run([]byte("*"+table+"\n"+script.String()+"COMMIT\n"), program+"-restore", "-w", "--noflush")
	return err
}

func (iptables) protects(chain string) (bool, error) {
	rules, err := run(nil, "iptables", "-w", "-S")
	return strings.Contains(rules, "-j "+chain), err
}

func hasLine(text, want string) bool {
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == want {
			return true
		}
	}
	return false
}

// nftables keeps a table for each pod.
type nftables struct{}

func (nftables) protect(table string, p pod) error {
	quoted := make([]string, len(p.interfaces))
	for i, name := range p.interfaces {
		quoted[i] = `"` + name + `"`
	}
	from := "iifname { " + strings.Join(quoted, ", ") + " }"
	own := from + " ip6 saddr { fe80::/10, :: } accept\n"
	for _, source := range p.sources {
		family := "ip"
		if source.Is6() {
			family = "ip6"
		}
		own += fmt.Sprintf("%s %s saddr %s accept\n", from, family, source)
	}
	services := ""
	for _, service := range p.services {
		services += fmt.Sprintf("%s ip daddr %s tcp dport %d accept\n", from, service.Addr(), service.Port())
	}
	// Naming the table first makes deleting it no error.
	script := fmt.Sprintf(`table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	chain prerouting {
		type filter hook prerouting priority -300; policy accept;
		%[2]s ip daddr %[4]s counter drop
		%[3]s
		%[2]s meta nfproto { ipv4, ipv6 } counter drop
	}
	chain input {
		type filter hook input priority -10; policy accept;
		%[2]s meta l4proto { icmp, ipv6-icmp } accept
		%[2]s ct state established,related accept
		%[5]s
		%[2]s counter drop
	}
}
`, table, from, own, metadata, services)
	_, err := run([]byte(script), "nft", "-f", "-")
	return err
}

func (nftables) release(table string) error {
	script := fmt.Sprintf("table inet %[1]s\ndelete table inet %[1]s\n", table)
	_, err := run([]byte(script), "nft", "-f", "-")
	return err
}

func (nftables) protects(table string) (bool, error) {
	tables, err := run(nil, "nft", "list", "tables")
	return hasLine(tables, "table inet "+table), err
}
