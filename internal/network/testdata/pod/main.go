// Pod puts the working directory's pod on networks, or takes it off again, for
// tests that kill it on the way.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"

	"rkt/internal/network"
	"rkt/internal/stage1"
)

// up does for the pod what is done for containers, and for machines, too.
func up(o network.Options, machine bool) error {
	n, err := network.Setup(context.Background(), o)
	if err != nil {
		return err
	}
	if err := n.Guard(); err != nil || !machine {
		return err
	}
	_, err = n.Taps()
	return err
}

func main() {
	var o network.Options
	down := flag.Bool("down", false, "take the pod off its networks")
	plugins := flag.String("plugins", "", "directories of plugins")
	list := flag.String("net", "default", "networks")
	port := flag.Uint("port", 0, "forward this port of the host to port 80")
	machine := flag.Bool("machine", false, "join the networks to taps")
	flag.StringVar(&o.LocalConfig, "config", "", "local configuration directory")
	flag.StringVar(&o.UUID, "uuid", "", "the pod's UUID")
	flag.Parse()
	o.Plugins = strings.Split(*plugins, ":")
	if *port != 0 {
		o.Ports = []network.PortMapping{{HostPort: uint16(*port), PodPort: 80, Protocol: "tcp"}}
	}
	var err error
	if *down {
		err = network.Teardown(context.Background(), o.UUID, nil)
	} else if o.Requests, err = stage1.ParseNetRequests(*list); err == nil {
		err = up(o, *machine)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
