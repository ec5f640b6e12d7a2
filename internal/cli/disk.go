package cli

import (
	"strconv"

	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/pod"
	"rkt/internal/stage1"
)

// diskFlag is the size of a pod's disk, 0 if none was said.
type diskFlag stage1.DiskSize

func (f *diskFlag) add(flags *pflag.FlagSet) {
	flags.Var(f, "disk", "size of the disk that takes what the pod's apps write, such as 512Mi or 100G (default 16Gi)")
}

func (f *diskFlag) Type() string { return "quantity" }

func (f *diskFlag) String() string {
	if *f == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*f), 10)
}

func (f *diskFlag) Set(value string) error {
	q, err := appc.ParseQuantity(value)
	if err != nil {
		return err
	}
	const kibibyte = 1024
	size := stage1.DiskSize(q.Value() / kibibyte * kibibyte)
	*f = diskFlag(size)
	return size.Check()
}

// unsupportedBy tells whether the size that was said means nothing to a stage1
// image: such an image keeps what apps write elsewhere.
func (f *diskFlag) unsupportedBy(image *pod.Stage1) bool {
	return *f != 0 && image.AppFormat() != stage1.AppFormatDisk
}
