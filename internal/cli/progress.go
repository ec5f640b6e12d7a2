package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"rkt/internal/image/fetch"
)

// progressWidth is how many columns a progress bar has, as it always had.
const progressWidth = 80

// progress tells people how fetching goes: with bars on a terminal, else with
// one line for each download.
type progress struct{ messages }

func (p *program) progress() *progress { return &progress{p.messagesOf("image")} }

// Diag prints what is only of interest with --debug.
func (p *progress) Diag(text string) { p.diag(text) }

// Info prints a message.
func (p *progress) Info(text string) { p.print(text) }

// Transfer shows a download.
func (p *progress) Transfer(label string, total int64) fetch.Transfer {
	if f, ok := p.w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return newBar(f, label, total)
	}
	return &plainTransfer{w: p.w, label: label}
}

// plainTransfer prints one line at the end of a download.
type plainTransfer struct {
	w     io.Writer
	label string
	bytes int64
}

func (t *plainTransfer) Add(bytes int64) { t.bytes += bytes }

func (t *plainTransfer) Done(err error) {
	if err == nil {
		fmt.Fprintf(t.w, "%s: %s\n", t.label, decimalSize(t.bytes))
	}
}

// bar redraws one line of a terminal.
type bar struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

func newBar(w io.Writer, label string, total int64) *bar {
	container := mpb.New(mpb.WithOutput(w), mpb.WithWidth(progressWidth))
	size := decor.CountersKiloByte(" %.2f/%.2f")
	if total < 0 {
		size = decor.CurrentKiloByte(" %.2f of an unknown total size")
	}
	return &bar{container, container.New(max(total, 0), mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.PrependDecorators(decor.Name(label+": ")), mpb.AppendDecorators(size))}
}

func (b *bar) Add(bytes int64) { b.bar.IncrInt64(bytes) }

func (b *bar) Done(err error) {
	if err != nil {
		b.bar.Abort(false)
	} else {
		b.bar.SetTotal(-1, true)
	}
	b.container.Wait()
}
