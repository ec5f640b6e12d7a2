package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"rkt/internal/build/recipe"
	"rkt/internal/build/tree"
	"rkt/internal/stage1"
)

// flavor is one kind of stage1 image.
type flavor struct {
	// name is the image's unless -name says another.
	name string
	// appFormat is how the image wants the apps.
	appFormat string
	// isolation is what the image gives, "" if an entry point says it.
	isolation stage1.Isolation
	// entryPoints are what it can be asked to do.
	entryPoints []entryPoint
	// needsKernel and needsAgent say which inputs the image takes.
	needsKernel, needsAgent bool
	// add puts everything but the entry points into the image's rootfs.
	add func(context.Context, part) error
	// check proves that the unpacked image in a directory is complete.
	check func(context.Context, checked) error
}

// part is an image on its way: the tree, what it is made of, and a directory
// for files that have to be made.
type part struct {
	tree    *tree.Tree
	options buildOptions
	arch    arch
	work    string
}

// findFlavor returns the kind of image that a flavour and a hypervisor name.
func findFlavor(name, hypervisor string) (flavor, error) {
	switch name {
	case flavorKVM:
		return kvmFlavor(hypervisor)
	case flavorNspawn:
		return nspawnFlavor(), nil
	case flavorFly:
		return flyFlavor(), nil
	}
	return flavor{}, fmt.Errorf("flavor %q is not one of %s, %s, %s", name, flavorKVM, flavorNspawn, flavorFly)
}

// Names of the flavours, as ./configure knows them.
const (
	flavorKVM    = "kvm"
	flavorNspawn = "coreos"
	flavorFly    = "fly"
)

// Hypervisors of the kvm flavour.
const (
	hypervisorQEMU = "qemu"
	hypervisorLKVM = "lkvm"
)

// flavorOf returns the kind of a finished image by its description.
func flavorOf(d description) (flavor, error) { return findFlavor(d.Flavor, d.Hypervisor) }

func kvmFlavor(hypervisor string) (flavor, error) {
	f := flavor{
		name:        imagePrefix + flavorKVM,
		appFormat:   stage1.AppFormatDisk,
		entryPoints: append(commonEntryPoints(), entryPoint{stage1.AnnotationIsolation, "/isolation"}),
		needsKernel: true, needsAgent: true,
	}
	switch hypervisor {
	case hypervisorQEMU:
		f.add = addQEMU
		f.check = checkQEMU
	case hypervisorLKVM:
		f.add = addLKVM
		f.check = checkLKVM
	default:
		return f, fmt.Errorf("hypervisor %q is not one of %s, %s", hypervisor, hypervisorQEMU, hypervisorLKVM)
	}
	return f, nil
}

// commonEntryPoints are those of every flavour.
func commonEntryPoints() []entryPoint {
	return []entryPoint{
		{stage1.AnnotationRun, "/run"},
		{stage1.AnnotationStop, "/stop"},
		{stage1.AnnotationGC, "/gc"},
		{stage1.AnnotationEnter, "/enter"},
		{stage1.AnnotationExec, "/exec"},
	}
}

func addQEMU(ctx context.Context, p part) error {
	return errors.Join(
		p.graft("machine", "machine.recipe"), addInit(p.tree), p.graft("mkfs", "mkfs.recipe"),
		p.graft("virtiofsd", "virtiofsd.recipe"),
		addGuestDisk(ctx, p), addScratch(ctx, p.tree, p.work), addPlugins(p), addDescription(ctx, p))
}

func addLKVM(ctx context.Context, p part) error {
	return errors.Join(
		p.graft("machine", "lkvm.recipe"), addInit(p.tree), p.graft("mkfs", "mkfs.recipe"),
		addGuestDisk(ctx, p), addScratch(ctx, p.tree, p.work), addPlugins(p), addDescription(ctx, p))
}

// addInit adds the file that the supervisor's own program is mounted on: all
// that runs in there begins as that, see linux.NewWarden.
func addInit(t *tree.Tree) error { return t.Data("machine/init", "", 0o644) }

func nspawnFlavor() flavor {
	return flavor{
		name:        imagePrefix + flavorNspawn,
		appFormat:   stage1.AppFormatDisk,
		isolation:   stage1.IsolationContainer,
		entryPoints: commonEntryPoints(),
		needsAgent:  true,
		add: func(ctx context.Context, p part) error {
			return errors.Join(
				p.graft("nspawn", "nspawn.recipe"),
				p.graft("guest", filepath.Join("guest", "guest.recipe")),
				p.graft("guest", filepath.Join("guest", "container.recipe")),
				addPlugins(p), addDescription(ctx, p))
		},
		check: checkNspawn,
	}
}

func flyFlavor() flavor {
	return flavor{
		name:        imagePrefix + flavorFly,
		appFormat:   stage1.AppFormatTree,
		isolation:   stage1.IsolationNone,
		entryPoints: commonEntryPoints(),
		add:         addDescription,
		check:       checkFly,
	}
}

// graft puts what a recipe makes below a directory of the image.
func (p part) graft(dir, name string) error {
	sub, err := recipe.Build(filepath.Join(p.options.recipes, name), recipeOptions(p.options, p.arch))
	if err != nil {
		return err
	}
	return p.tree.Graft(dir, sub)
}
