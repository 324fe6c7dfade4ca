package steadfast;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.temporal.activity.Activity;
import io.temporal.activity.ActivityInterface;
import io.temporal.activity.ActivityOptions;
import io.temporal.api.common.v1.WorkflowExecution;
import io.temporal.api.failure.v1.Failure;
import io.temporal.api.history.v1.HistoryEvent;
import io.temporal.api.workflowservice.v1.DescribeWorkflowExecutionRequest;
import io.temporal.api.workflowservice.v1.DescribeWorkflowExecutionResponse;
import io.temporal.client.WorkflowClient;
import io.temporal.client.WorkflowFailedException;
import io.temporal.client.WorkflowNotFoundException;
import io.temporal.client.WorkflowOptions;
import io.temporal.client.WorkflowStub;
import io.temporal.client.WorkflowUpdateException;
import io.temporal.common.RetryOptions;
import io.temporal.failure.TerminatedFailure;
import io.temporal.serviceclient.WorkflowServiceStubs;
import io.temporal.serviceclient.WorkflowServiceStubsOptions;
import io.temporal.worker.Worker;
import io.temporal.worker.WorkerFactory;
import io.temporal.workflow.QueryMethod;
import io.temporal.workflow.SignalMethod;
import io.temporal.workflow.UpdateMethod;
import io.temporal.workflow.UpdateValidatorMethod;
import io.temporal.workflow.Workflow;
import io.temporal.workflow.WorkflowInterface;
import io.temporal.workflow.WorkflowMethod;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The official Java SDK, unmodified, against the server. */
@Timeout(120)
class WorkflowTest {
  private static final AtomicBoolean broken = new AtomicBoolean();

  private Server server;
  private WorkflowServiceStubs stubs;
  private WorkflowClient client;
  private WorkerFactory factory;
  private final String queue = UUID.randomUUID().toString();

  @ActivityInterface
  public interface Bank {
    int attempt();
  }

  public static class ShakyBank implements Bank {
    @Override
    public int attempt() {
      if (broken.get()) {
        throw new IllegalStateException("the bank is closed");
      }
      return Activity.getExecutionContext().getInfo().getAttempt();
    }
  }

  @WorkflowInterface
  public interface OneActivity {
    @WorkflowMethod
    int run();
  }

  public static class RunsOneActivity implements OneActivity {
    @Override
    public int run() {
      RetryOptions soon =
          RetryOptions.newBuilder().setInitialInterval(Duration.ofMillis(100)).setBackoffCoefficient(1).build();
      ActivityOptions options =
          ActivityOptions.newBuilder().setStartToCloseTimeout(Duration.ofSeconds(10)).setRetryOptions(soon).build();
      return Workflow.newActivityStub(Bank.class, options).attempt();
    }
  }

  @WorkflowInterface
  public interface Basket {
    @WorkflowMethod
    List<String> run();

    @SignalMethod
    void add(String item);

    @SignalMethod
    void close();

    @QueryMethod
    List<String> look();

    @UpdateMethod
    int put(String item);

    @UpdateValidatorMethod(updateName = "put")
    void check(String item);
  }

  public static class CollectingBasket implements Basket {
    private final List<String> items = new ArrayList<>();
    private boolean closed;

    @Override
    public List<String> run() {
      Workflow.await(() -> closed && Workflow.isEveryHandlerFinished());
      return items;
    }

    @Override
    public void add(String item) {
      items.add(item);
    }

    @Override
    public void close() {
      closed = true;
    }

    @Override
    public List<String> look() {
      return items;
    }

    @Override
    public int put(String item) {
      items.add(item);
      Workflow.sleep(10);
      return items.size();
    }

    @Override
    public void check(String item) {
      if (item.isEmpty()) {
        throw new IllegalArgumentException("an item has a name");
      }
    }
  }

  @WorkflowInterface
  public interface Divides {
    @WorkflowMethod
    int run(int divisor);
  }

  public static class DividesByZero implements Divides {
    @Override
    public int run(int divisor) {
      return 1 / divisor;
    }
  }

  @BeforeEach
  void serve() throws Exception {
    broken.set(false);
    server = new Server();
    stubs =
        WorkflowServiceStubs.newConnectedServiceStubs(
            WorkflowServiceStubsOptions.newBuilder().setTarget(server.address()).build(), Duration.ofSeconds(10));
    client = WorkflowClient.newInstance(stubs);
    factory = WorkerFactory.newInstance(client);
    Worker worker = factory.newWorker(queue);
    worker.registerWorkflowImplementationTypes(RunsOneActivity.class, CollectingBasket.class, DividesByZero.class);
    worker.registerActivitiesImplementations(new ShakyBank());
    factory.start();
  }

  @AfterEach
  void stop() throws Exception {
    factory.shutdownNow();
    stubs.shutdownNow();
    server.stop();
  }

  private <T> T stub(Class<T> type) {
    return client.newWorkflowStub(type, WorkflowOptions.newBuilder().setTaskQueue(queue).build());
  }

  private DescribeWorkflowExecutionResponse describe(WorkflowExecution execution) {
    return stubs
        .blockingStub()
        .describeWorkflowExecution(
            DescribeWorkflowExecutionRequest.newBuilder().setNamespace("default").setExecution(execution).build());
  }

  @Test
  void retriesAreSeenAndEnd() throws Exception {
    broken.set(true);
    OneActivity workflow = stub(OneActivity.class);
    WorkflowExecution execution = WorkflowClient.start(workflow::run);
    Server.eventually(
        "a third attempt, with the last failure",
        () ->
            describe(execution).getPendingActivitiesList().stream()
                .anyMatch(
                    pending ->
                        pending.getAttempt() >= 3
                            && pending.getLastFailure().getMessage().equals("the bank is closed")));
    broken.set(false);
    assertTrue(WorkflowStub.fromTyped(workflow).getResult(Integer.class) >= 3);
  }

  @Test
  void signalsQueriesAndUpdates() {
    Basket basket = stub(Basket.class);
    WorkflowClient.start(basket::run);
    basket.add("bread");
    assertEquals(2, basket.put("milk"));
    assertThrows(WorkflowUpdateException.class, () -> basket.put(""));
    assertEquals(List.of("bread", "milk"), basket.look());
    basket.close();
    assertEquals(List.of("bread", "milk"), WorkflowStub.fromTyped(basket).getResult(List.class));
    assertEquals(List.of("bread", "milk"), basket.look(), "closed runs answer too");
    assertThrows(WorkflowNotFoundException.class, () -> basket.add("late"));
  }

  @Test
  void anErrorInWorkflowCodeFailsItsTaskAndNamesFileAndLine() throws Exception {
    Divides workflow = stub(Divides.class);
    WorkflowExecution execution = WorkflowClient.start(workflow::run, 0);
    Server.eventually(
        "a second attempt of the workflow task",
        () -> describe(execution).getPendingWorkflowTask().getAttempt() >= 2);
    Failure failure =
        client.fetchHistory(execution.getWorkflowId()).getEvents().stream()
            .filter(HistoryEvent::hasWorkflowTaskFailedEventAttributes)
            .findFirst()
            .orElseThrow()
            .getWorkflowTaskFailedEventAttributes()
            .getFailure();
    assertTrue(failure.toString().contains("/ by zero"), failure.toString());
    assertTrue(failure.toString().contains("WorkflowTest.java"), failure.toString());
    WorkflowStub stub = WorkflowStub.fromTyped(workflow);
    stub.terminate("seen");
    WorkflowFailedException ended =
        assertThrows(WorkflowFailedException.class, () -> stub.getResult(Integer.class));
    assertTrue(ended.getCause() instanceof TerminatedFailure);
  }

  @Test
  void aKilledServerGoesOnWhereItWas() throws Exception {
    Basket basket = stub(Basket.class);
    WorkflowClient.start(basket::run);
    for (String item : List.of("bread", "milk")) {
      basket.add(item);
      server.kill();
      server.start();
    }
    basket.close();
    assertEquals(List.of("bread", "milk"), WorkflowStub.fromTyped(basket).getResult(List.class));
  }
}
