package cli

import (
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"rkt/internal/image/fetch"
)

// progressWidth is how many columns a progress bar has, as it always had.
const progressWidth = 80

// progress tells people how fetching goes: with a bar for each download on a
// terminal, else with one line for each. It may be used by several goroutines
// at once.
type progress struct {
	messages

	mu   sync.Mutex
	bars *mpb.Progress // nil if there are none
	open int           // bars that move
}

func (p *program) progress() *progress { return &progress{messages: p.messagesOf("image")} }

// Diag prints what is only of interest with --debug.
func (p *progress) Diag(text string) {
	if p.debug {
		p.Info(text)
	}
}

// Info prints a message, above the bars if there are any.
func (p *progress) Info(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		p.print(text)
		return
	}
	m := p.messages
	m.w = p.bars
	m.print(text)
}

// Transfer shows a download.
func (p *progress) Transfer(label string, total int64) fetch.Transfer {
	label = printable(strings.ReplaceAll(label, "\n", " "))
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.canDraw() {
		return &plainTransfer{p: p, label: label}
	}
	if p.bars == nil {
		p.bars = mpb.New(mpb.WithOutput(p.w), mpb.WithWidth(progressWidth))
	}
	p.open++
	return &bar{progress: p, bar: newBar(p.bars, label, total)}
}

// canDraw says whether there is a terminal, of a known size: nothing can be drawn on
// no columns, which is what many a serial line has.
func (p *progress) canDraw() bool {
	f, ok := p.w.(*os.File)
	if !ok {
		return false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	return err == nil && columns > 0
}

// plainTransfer prints one line at the end of a download.
type plainTransfer struct {
	p     *progress
	label string
	bytes int64
}

func (t *plainTransfer) Add(bytes int64) { t.bytes += bytes }

func (t *plainTransfer) Done(err error) {
	if err == nil {
		t.p.mu.Lock()
		defer t.p.mu.Unlock()
		fmt.Fprintf(t.p.w, "%s: %s\n", t.label, decimalSize(t.bytes))
	}
}

// bar is one line of a terminal that is drawn again and again.
type bar struct {
	progress *progress
	bar      *mpb.Bar
}

func newBar(bars *mpb.Progress, label string, total int64) *mpb.Bar {
	size := decor.Any(func(s decor.Statistics) string {
		return " " + decimalSize(s.Current) + "/" + decimalSize(s.Total)
	})
	if total < 0 {
		size = decor.Any(func(s decor.Statistics) string { return decimalSize(s.Current) + " of an unknown total size" })
		return bars.New(0, mpb.NopStyle(), mpb.PrependDecorators(decor.Name(label+": "), size))
	}
	return bars.New(total, mpb.BarStyle().Lbound("[").Filler("=").Tip(">").Padding(" ").Rbound("]"),
		mpb.PrependDecorators(decor.Name(label+": ")), mpb.AppendDecorators(size), mpb.BarFillerTrim())
}

func (b *bar) Add(bytes int64) { b.bar.IncrInt64(bytes) }

// Done leaves the line as it is. With the last the terminal is everybody's again.
func (b *bar) Done(err error) {
	if err != nil {
		b.bar.Abort(false)
	} else {
		b.bar.SetTotal(-1, true)
	}
	b.bar.Wait()
	p := b.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open--; p.open == 0 {
		p.bars.Wait()
		p.bars = nil
	}
}
