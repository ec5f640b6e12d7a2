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

func main() {
	var o network.Options
	down := flag.Bool("down", false, "take the pod off its networks")
	plugins := flag.String("plugins", "", "directories of plugins")
	list := flag.String("net", "default", "networks")
	port := flag.Uint("port", 0, "forward this port of the host to port 80")
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
		_, err = network.Setup(context.Background(), o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
