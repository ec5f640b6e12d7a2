package cli

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"rkt/internal/image/store"
)

// imageField is a column of the table of images.
type imageField struct {
	name, header string
	text         func(image *store.Image, full bool, now time.Time) string
	compare      func(a, b *store.Image) int
}

// imageFields lists all columns in the order in which they are shown.
func imageFields() []imageField {
	return []imageField{
		{"id", "ID", func(i *store.Image, full bool, _ time.Time) string {
			if full {
				return i.ID
			}
			return i.ID[:min(len(i.ID), shortImageID)]
		}, nil},
		{
			"name", "NAME", func(i *store.Image, _ bool, _ time.Time) string { return imageName(i.Manifest) },
			func(a, b *store.Image) int { return strings.Compare(imageName(a.Manifest), imageName(b.Manifest)) },
		},
		{"size", "SIZE", func(i *store.Image, full bool, _ time.Time) string {
			if full {
				return strconv.FormatInt(i.Size, 10)
			}
			return binarySize(i.Size)
		}, func(a, b *store.Image) int { return cmp.Compare(a.Size, b.Size) }},
		{"importtime", "IMPORT TIME", func(i *store.Image, full bool, now time.Time) string {
			return formatTime(i.ImportTime, now, full)
		}, func(a, b *store.Image) int { return a.ImportTime.Compare(b.ImportTime) }},
		{"lastused", "LAST USED", func(i *store.Image, full bool, now time.Time) string {
			return formatTime(i.LastUsed, now, full)
		}, func(a, b *store.Image) int { return a.LastUsed.Compare(b.LastUsed) }},
	}
}

func imageFieldNames(sortable bool) []string {
	var names []string
	for _, field := range imageFields() {
		if !sortable || field.compare != nil {
			names = append(names, field.name)
		}
	}
	return names
}

// imageFieldList is the flag that chooses columns.
type imageFieldList []imageField

func (l *imageFieldList) Type() string { return "string" }

func (l *imageFieldList) String() string {
	var names []string
	for _, field := range *l {
		names = append(names, field.name)
	}
	return strings.Join(names, ",")
}

func (l *imageFieldList) Set(value string) error {
	*l = nil
	for word := range strings.SplitSeq(value, ",") {
		i := slices.IndexFunc(imageFields(), func(f imageField) bool { return f.name == word })
		if i < 0 {
			return fmt.Errorf("unknown field %q (must be one of: %s)", word, strings.Join(imageFieldNames(false), ", "))
		}
		*l = append(*l, imageFields()[i])
	}
	return nil
}

// imageView is an image as programs see it. Times are in nanoseconds.
type imageView struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	ImportTime   int64  `json:"import_time"`
	LastUsedTime int64  `json:"last_used_time"`
	Size         int64  `json:"size"`
}

type imageList struct {
	fields         imageFieldList
	sort, order    string
	noLegend, full bool
	format         format
}

func (p *program) newImageList() *cobra.Command {
	l := &imageList{fields: imageFields()}
	cmd := &cobra.Command{
		Use:   "list [--fields=LIST] [--sort=FIELD] [--order=asc|desc] [--full] [--no-legend] [--format=json]",
		Short: "List the images in the store",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return p.imageList(cmd, l) },
	}
	cmd.Flags().Var(&l.fields, "fields", "columns to show, as a list")
	cmd.Flags().StringVar(&l.sort, "sort", "importtime", "column to sort by")
	cmd.Flags().StringVar(&l.order, "order", "asc", "asc or desc")
	cmd.Flags().BoolVar(&l.noLegend, "no-legend", false, "suppress the header of the table")
	cmd.Flags().BoolVar(&l.full, "full", false, "use long output: whole image ids, bytes and exact times")
	l.format.add(cmd.Flags())
	return cmd
}

func (p *program) imageList(cmd *cobra.Command, l *imageList) error {
	compare, err := l.compare()
	if err != nil {
		return usage(cmd, err)
	}
	images, err := p.openStore()
	if err != nil {
		return err
	}
	defer images.Close()
	stored, damaged, err := images.List(cmd.Context())
	if err != nil {
		return err
	}
	pointers := make([]*store.Image, len(stored))
	for i := range stored {
		pointers[i] = &stored[i]
	}
	slices.SortStableFunc(pointers, compare)
	if l.format == formatText {
		err = p.imageTable(l, pointers)
	} else {
		err = l.format.writeJSON(p.stdout, imageViews(pointers))
	}
	for _, problem := range damaged {
		p.messages(cmd).err(detail(problem))
	}
	return err
}

func (l *imageList) compare() (func(a, b *store.Image) int, error) {
	fields := imageFields()
	i := slices.IndexFunc(fields, func(f imageField) bool { return f.name == l.sort && f.compare != nil })
	if i < 0 {
		return nil, fmt.Errorf("cannot sort by %q (must be one of: %s)", l.sort, strings.Join(imageFieldNames(true), ", "))
	}
	switch l.order {
	case "asc":
		return fields[i].compare, nil
	case "desc":
		return func(a, b *store.Image) int { return fields[i].compare(b, a) }, nil
	}
	return nil, errors.New("wrong sort order")
}

func (p *program) imageTable(l *imageList, images []*store.Image) error {
	t := tabwriter.NewWriter(p.stdout, 0, 8, 1, '\t', 0)
	row := func(text func(imageField) string) {
		var words []string
		for _, field := range l.fields {
			words = append(words, text(field))
		}
		fmt.Fprintln(t, strings.Join(words, "\t"))
	}
	if !l.noLegend {
		row(func(f imageField) string { return f.header })
	}
	for _, image := range images {
		row(func(f imageField) string { return f.text(image, l.full, p.now()) })
	}
	return t.Flush()
}

func imageViews(images []*store.Image) []imageView {
	views := []imageView{}
	for _, image := range images {
		views = append(views, imageView{
			ID: image.ID, Name: imageName(image.Manifest), Size: image.Size,
			ImportTime: image.ImportTime.UnixNano(), LastUsedTime: image.LastUsed.UnixNano(),
		})
	}
	return views
}
