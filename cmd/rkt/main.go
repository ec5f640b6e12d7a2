// Rkt runs pods: apps out of signed images, each pod in an isolation of its own.
package main

import (
	"os"

	"rkt/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
