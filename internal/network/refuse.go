package network

import "path/filepath"

// RefuseInMachine says why a plugin does not work for a pod whose apps have a
// kernel of their own, or "".
func RefuseInMachine(plugin string) string {
	switch plugin {
	case "ipvlan":
		return "does not work with a virtual machine: its interface shares the address of its parent's card"
	case "host-device", "tap", "dummy":
		return "does not work with a virtual machine: there is no Ethernet on both sides of what it makes"
	case "dhcp":
		return "does not work with a virtual machine: it keeps the lease from inside a namespace whose traffic is the machine's"
	case "loopback":
		return "is not needed: every pod has a loop-back interface"
	case "sbr", "vrf":
		return "does not work with a virtual machine: its routing rules are in the namespace only"
	}
	return ""
}

// PluginDirs returns where plugins are looked for, in this order: beside the
// configurations, where rkt 1.30 had its own, in the stage1 image with the given
// root, and where the CNI project and Debian have theirs.
func PluginDirs(localConfig, image string) []string {
	const own = "usr/lib/rkt/plugins/net"
	dirs := []string{}
	if localConfig != "" {
		dirs = append(dirs, filepath.Join(localConfig, configDir))
	}
	return append(dirs, "/"+own, filepath.Join(image, own), "/opt/cni/bin", "/usr/lib/cni")
}
