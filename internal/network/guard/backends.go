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

// iptables keeps a chain for each pod, which INPUT leads to.
type iptables struct{}

// programs are iptables for both families; a host may lack the second.
func (iptables) programs() []string {
	all := []string{"iptables"}
	if has("ip6tables") {
		all = append(all, "ip6tables")
	}
	return all
}

func (i iptables) protect(chain string, interfaces []string) error {
	if err := i.release(chain); err != nil {
		return err // of a start that was killed
	}
	for _, program := range i.programs() {
		icmp := map[string]string{"iptables": "icmp", "ip6tables": "ipv6-icmp"}[program]
		commands := [][]string{
			{"-N", chain},
			{"-A", chain, "-p", icmp, "-j", "RETURN"},
			{"-A", chain, "-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED", "-j", "RETURN"},
			{"-A", chain, "-j", "DROP"},
		}
		for _, name := range interfaces {
			commands = append(commands, []string{"-I", "INPUT", "1", "-i", name, "-j", chain})
		}
		for _, args := range commands {
			if _, err := run(nil, program, append([]string{"-w"}, args...)...); err != nil {
				return err
			}
		}
	}
	return nil
}

// release removes the ways to the chain, then the chain.
func (i iptables) release(chain string) error {
	for _, program := range i.programs() {
		rules, err := run(nil, program, "-w", "-S")
		if err != nil {
			return err
		}
		for line := range strings.Lines(rules) {
			fields := strings.Fields(line)
			if len(fields) > 2 && fields[0] == "-A" && fields[1] == "INPUT" && fields[len(fields)-1] == chain {
				fields[0] = "-D"
				if _, err := run(nil, program, append([]string{"-w"}, fields...)...); err != nil {
					return err
				}
			}
		}
		if !hasLine(rules, "-N "+chain) {
			continue
		}
		for _, command := range []string{"-F", "-X"} {
			if _, err := run(nil, program, "-w", command, chain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (i iptables) protects(chain string) (bool, error) {
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

func (n nftables) protect(table string, interfaces []string) error {
	quoted := make([]string, len(interfaces))
	for i, name := range interfaces {
		quoted[i] = `"` + name + `"`
	}
	from := "iifname { " + strings.Join(quoted, ", ") + " }"
	// Naming the table first makes deleting it no error.
	script := fmt.Sprintf(`table inet %[1]s
delete table inet %[1]s
table inet %[1]s {
	chain input {
		type filter hook input priority -10; policy accept;
		%[2]s meta l4proto { icmp, ipv6-icmp } accept
		%[2]s ct state established,related accept
		%[2]s counter drop
	}
}
`, table, from)
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
