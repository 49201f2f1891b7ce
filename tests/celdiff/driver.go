// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

const answerMax = 64 << 20

var (
	escape   = strings.NewReplacer("\\", "\\\\", "\t", "\\t", "\n", "\\n", "\r", "\\r")
	unescape = strings.NewReplacer("\\\\", "\\", "\\t", "\t", "\\n", "\n", "\\r", "\r")
)

// A driver is a process of driver.c: the engine under test.
type driver struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startDriver(path, libs string) (*driver, error) {
	d := &driver{cmd: exec.Command(path, libs)}
	d.cmd.Stderr = os.Stderr
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.in, d.out = in, bufio.NewReaderSize(out, 1<<20)
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	for _, v := range views {
		if err := d.send("W", v.typ, v.expr); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *driver) stop() error {
	d.in.Close()
	return d.cmd.Wait()
}

func frame(fields ...string) string {
	for i := range fields {
		fields[i] = escape.Replace(fields[i])
	}
	return strings.Join(fields, "\t") + "\n"
}

func (d *driver) send(fields ...string) error {
	_, err := io.WriteString(d.in, frame(fields...))
	return err
}

func (d *driver) receive() (outcome, error) {
	line, err := d.out.ReadString('\n')
	if err != nil {
		return outcome{}, fmt.Errorf("the driver ended: %w", err)
	}
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	for i := range fields {
		fields[i] = unescape.Replace(fields[i])
	}
	switch {
	case len(fields) == 2:
		return outcome{kind: fields[0], text: fields[1]}, nil
	case len(fields) == 3:
		return outcome{fields[0], fields[1], fields[2]}, nil
	}
	return outcome{}, fmt.Errorf("the driver answered %q", line)
}

// ask declares the variables and evaluates the expressions. It returns the outcomes of both.
func (d *driver) ask(vars []variable, exprs []string) (values, results []outcome, err error) {
	var request strings.Builder
	request.WriteString("N\n")
	for _, v := range vars {
		request.WriteString(frame("V", v.name, v.typeText(), v.value))
	}
	for _, e := range exprs {
		request.WriteString(frame("X", e))
	}
	request.WriteString("F\n")
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(d.in, request.String())
		sent <- err
	}()
	for range vars {
		o, err := d.receive()
		if err != nil {
			return nil, nil, err
		}
		values = append(values, o)
	}
	for i := range exprs {
		o, err := d.receive()
		if err != nil {
			return nil, nil, fmt.Errorf("at %q: %w", exprs[i], err)
		}
		results = append(results, o)
	}
	return values, results, <-sent
}

// askOne evaluates one more expression over the variables of the last ask.
func (d *driver) askOne(expr string) (outcome, error) {
	if err := d.send("X", expr); err != nil {
		return outcome{}, err
	}
	if err := d.send("F"); err != nil {
		return outcome{}, err
	}
	return d.receive()
}
