// Mkimage puts a stage1 image together out of the build host's packages and
// the project's own programs, and proves that it is complete.
//
//	mkimage build -flavor F -version V -stage1 FILE [-kernel DIR] [-agent FILE -init FILE] -out FILE.aci
//	mkimage build ... -dir DIR       the image's rootfs as a directory instead
//	mkimage check FILE.aci           starts what is in the image
//
// What an image holds is written in the recipes below stage1; this program
// makes of them a guest root file system (EROFS), an empty scratch disk, and
// the archive. The same inputs give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// errUsage is returned for a command line that nothing can be done with.
var errUsage = errors.New("usage: mkimage build|check [options]")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "mkimage: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// run carries out one command.
func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	switch args[0] {
	case "build":
		return runBuild(ctx, args[1:])
	case "check":
		return runCheck(ctx, args[1:])
	}
	return errUsage
}

// runBuild parses the build command's options.
func runBuild(ctx context.Context, args []string) error {
	var o buildOptions
	f := flag.NewFlagSet("build", flag.ContinueOnError)
	f.StringVar(&o.flavor, "flavor", flavorKVM, "kind of image: kvm, coreos or fly")
	f.StringVar(&o.hypervisor, "hypervisor", hypervisorQEMU, "hypervisor of a kvm image: qemu or lkvm")
	f.StringVar(&o.name, "name", "", "name of the image, if not its flavor's usual one")
	f.StringVar(&o.arch, "arch", "amd64", "architecture, as Go names it")
	f.StringVar(&o.recipes, "recipes", "stage1", "directory of the recipes")
	f.StringVar(&o.version, "version", "", "version of the image")
	f.StringVar(&o.kernel, "kernel", "", "directory of the built kernel")
	f.StringVar(&o.stage1, "stage1", "", "program with the entry points")
	f.StringVar(&o.agent, "agent", "", "program that runs inside the machine")
	f.StringVar(&o.init, "init", "", "program that the machine's kernel executes")
	f.StringVar(&o.plugins, "plugins", "", "program that is all CNI plugins")
	f.StringVar(&o.pluginNames, "plugin-names", "", "file with the names it is called by, one a line")
	f.StringVar(&o.out, "out", "", "image to write")
	f.StringVar(&o.dir, "dir", "", "directory to write the image's rootfs to")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.version == "" || o.stage1 == "" || (o.out == "") == (o.dir == "") {
		return errors.New("build needs -version, -stage1, and one of -out and -dir")
	}
	return build(ctx, o)
}

// runCheck parses the check command's options.
func runCheck(ctx context.Context, args []string) error {
	f := flag.NewFlagSet("check", flag.ContinueOnError)
	console := f.Bool("console", false, "show the machine's console")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return errors.New("check needs the name of one image")
	}
	return check(ctx, f.Arg(0), *console)
}
