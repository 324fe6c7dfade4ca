package tests

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

var once = workflow.ActivityOptions{
	StartToCloseTimeout: 10 * time.Second,
	RetryPolicy:         &temporal.RetryPolicy{InitialInterval: 100 * time.Millisecond, BackoffCoefficient: 1},
}

var failures atomic.Int32

func Shaky(ctx context.Context) (int32, error) {
	if failures.Load() > 0 {
		return 0, errors.New("the bank is closed")
	}
	return activity.GetInfo(ctx).Attempt, nil
}

func OneActivity(ctx workflow.Context) (attempt int32, err error) {
	err = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, once), Shaky).Get(ctx, &attempt)
	return attempt, err
}

// Basket collects signals and updates until it is told to stop.
func Basket(ctx workflow.Context) ([]string, error) {
	var items []string
	if err := workflow.SetQueryHandler(ctx, "look", func() ([]string, error) { return items, nil }); err != nil {
		return nil, err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, "put", func(ctx workflow.Context, item string) (int, error) {
		items = append(items, item)
		return len(items), workflow.Sleep(ctx, 10*time.Millisecond)
	}, workflow.UpdateHandlerOptions{Validator: func(item string) error {
		if item == "" {
			return errors.New("an item has a name")
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	for {
		var item string
		workflow.GetSignalChannel(ctx, "add").Receive(ctx, &item)
		if item == "" {
			return items, nil
		}
		items = append(items, item)
	}
}

func Divides(ctx workflow.Context) (int, error) {
	divisor := 0
	return 1 / divisor, nil
}

// Parent runs children to their end.
func Parent(ctx workflow.Context) (string, error) {
	var greeting string
	err := workflow.ExecuteChildWorkflow(ctx, Child, "Ada").Get(ctx, &greeting)
	return greeting, err
}

func Child(_ workflow.Context, name string) (string, error) { return "Hello, " + name, nil }

// CountDown goes on as new until there is nothing left.
func CountDown(ctx workflow.Context, left int) (string, error) {
	if left > 0 {
		return "", workflow.NewContinueAsNewError(ctx, CountDown, left-1)
	}
	return "done", nil
}

func TestRetriesAreSeenAndEnd(t *testing.T) {
	ctx, c := limited(t), newServer(t).client()
	queue := serve(t, c, []any{OneActivity}, []any{Shaky})
	failures.Store(1)
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, OneActivity)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a third attempt, with the last failure", func() bool {
		seen, err := c.DescribeWorkflowExecution(ctx, run.GetID(), "")
		if err != nil {
			t.Fatal(err)
		}
		pending := seen.PendingActivities
		return len(pending) == 1 && pending[0].Attempt >= 3 &&
			pending[0].LastFailure.GetMessage() == "the bank is closed"
	})
	failures.Store(0)
	var attempt int32
	if err := run.Get(ctx, &attempt); err != nil || attempt < 3 {
		t.Fatalf("attempt %d, %v", attempt, err)
	}
}

func TestSignalsQueriesAndUpdates(t *testing.T) {
	ctx, c := limited(t), newServer(t).client()
	queue := serve(t, c, []any{Basket}, nil)
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: unique("basket"), TaskQueue: queue}, Basket)
	if err != nil {
		t.Fatal(err)
	}
	put := func(item string) (count int, err error) {
		update, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID: run.GetID(), UpdateName: "put", Args: []any{item},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err != nil {
			return 0, err
		}
		err = update.Get(ctx, &count)
		return count, err
	}
	if err := c.SignalWorkflow(ctx, run.GetID(), "", "add", "bread"); err != nil {
		t.Fatal(err)
	}
	if count, err := put("milk"); err != nil || count != 2 {
		t.Fatalf("%d items, %v", count, err)
	}
	if _, err := put(""); err == nil || !strings.Contains(err.Error(), "an item has a name") {
		t.Fatalf("a rejected update: %v", err)
	}
	answer, err := c.QueryWorkflow(ctx, run.GetID(), "", "look")
	var items []string
	if err != nil || answer.Get(&items) != nil || strings.Join(items, " ") != "bread milk" {
		t.Fatalf("%v, %v", items, err)
	}
	if err := c.SignalWorkflow(ctx, run.GetID(), "", "add", ""); err != nil {
		t.Fatal(err)
	}
	if err := run.Get(ctx, &items); err != nil || len(items) != 2 {
		t.Fatalf("%v, %v", items, err)
	}
	var gone *serviceerror.NotFound
	if err := c.SignalWorkflow(ctx, run.GetID(), "", "add", "late"); !errors.As(err, &gone) {
		t.Fatalf("a signal to a closed run: %v", err)
	}
	counted, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Query: "WorkflowId = '" + run.GetID() + "' AND ExecutionStatus = 'Completed'",
	})
	if err != nil || counted.Count != 1 {
		t.Fatalf("%d completed, %v", counted.GetCount(), err)
	}
}

func TestAPanicFailsTheTaskAndNotTheWorkflow(t *testing.T) {
	ctx, c := limited(t), newServer(t).client()
	queue := serve(t, c, []any{Divides}, nil)
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Divides)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second attempt of the workflow task", func() bool {
		seen, err := c.DescribeWorkflowExecution(ctx, run.GetID(), "")
		return err == nil && seen.PendingWorkflowTask.GetAttempt() >= 2
	})
	events := c.GetWorkflowHistory(ctx, run.GetID(), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			t.Fatal(err)
		}
		if failed := event.GetWorkflowTaskFailedEventAttributes(); failed != nil {
			if !strings.Contains(failed.Failure.Message, "divide by zero") ||
				!strings.Contains(failed.Failure.StackTrace, "workflow_test.go") {
				t.Fatalf("%v", failed.Failure)
			}
			if err := c.TerminateWorkflow(ctx, run.GetID(), "", "seen"); err != nil {
				t.Fatal(err)
			}
			var ended *temporal.TerminatedError
			if err := run.Get(ctx, nil); !errors.As(err, &ended) {
				t.Fatalf("the end of a terminated run: %v", err)
			}
			return
		}
	}
	t.Fatal("no event tells of the failure")
}

func TestChildrenAndChainsOfRuns(t *testing.T) {
	ctx, c := limited(t), newServer(t).client()
	queue := serve(t, c, []any{Parent, Child, CountDown}, nil)
	for want, start := range map[string]func() (client.WorkflowRun, error){
		"Hello, Ada": func() (client.WorkflowRun, error) {
			return c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Parent)
		},
		"done": func() (client.WorkflowRun, error) {
			return c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, CountDown, 2)
		},
	} {
		run, err := start()
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := run.Get(ctx, &got); err != nil || got != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

func TestAKilledServerGoesOn(t *testing.T) {
	ctx, s := limited(t), newServer(t)
	c := s.client()
	queue := serve(t, c, []any{Basket}, nil)
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: queue}, Basket)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range []string{"bread", "milk", ""} {
		if err := c.SignalWorkflow(ctx, run.GetID(), run.GetRunID(), "add", item); err != nil {
			t.Fatal(err)
		}
		s.kill()
		s.start()
	}
	var items []string
	if err := run.Get(ctx, &items); err != nil || strings.Join(items, " ") != "bread milk" {
		t.Fatalf("%v, %v", items, err)
	}
}
