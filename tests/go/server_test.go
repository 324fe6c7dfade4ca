// Package tests proves the server with the official Go SDK, unmodified.
package tests

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
)

// server is one server process, with a database file that outlives it.
type server struct {
	t       *testing.T
	file    string
	address string
	process *exec.Cmd
}

func newServer(t *testing.T) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, file: filepath.Join(t.TempDir(), "steadfast.db"), address: address}
	s.start()
	t.Cleanup(s.stop)
	return s
}

// start returns when the server takes connections.
func (s *server) start() {
	s.t.Helper()
	binary := os.Getenv("STEADFAST_BIN")
	if binary == "" {
		binary = "../../target/debug/steadfast"
	}
	_, port, _ := net.SplitHostPort(s.address)
	s.process = exec.Command(binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1",
		"--port", port, "--db-filename", s.file)
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		s.t.Fatalf("the server does not start: %v", err)
	}
	eventually(s.t, "the server listens", func() bool {
		connection, err := net.DialTimeout("tcp", s.address, time.Second)
		if err == nil {
			_ = connection.Close()
		}
		return err == nil
	})
}

// kill is `kill -9`: the server can neither write nor say goodbye.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

func (s *server) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	_ = s.process.Wait()
}

func (s *server) client() client.Client {
	s.t.Helper()
	connected, err := client.Dial(client.Options{HostPort: s.address})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(connected.Close)
	return connected
}

// serve runs a worker with these workflows and activities until the test ends, on a queue of its own.
func serve(t *testing.T, c client.Client, workflows []any, activities []any) string {
	t.Helper()
	queue := unique("queue")
	w := worker.New(c, queue, worker.Options{})
	for _, workflow := range workflows {
		w.RegisterWorkflow(workflow)
	}
	for _, activity := range activities {
		w.RegisterActivity(activity)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	return queue
}

func unique(name string) string { return fmt.Sprintf("%s-%s", name, uuid.NewString()) }

// limited is a context for the calls of one test.
func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// eventually looks until there is something to see.
func eventually(t *testing.T, what string, look func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !look(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
