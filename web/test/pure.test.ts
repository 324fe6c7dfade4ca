import assert from "node:assert/strict";
import { test } from "node:test";
import { layOut, oneLine } from "../src/pure/json-text.ts";
import { errorPosition, looksLikeQuery, withStatus } from "../src/pure/query.ts";
import { ago, durationMs, instant, span } from "../src/pure/time.ts";
import { words } from "../src/pure/words.ts";

const text = (source: string) => layOut(source)?.map((token) => token.text).join("");

test("numbers keep their digits", () => {
  const source = '{"foo":3544790567247868102,"bar":0.2345678901234568,"e":[1.0,-0,1E400]}';
  assert.equal(
    text(source),
    '{\n  "foo": 3544790567247868102,\n  "bar": 0.2345678901234568,\n  "e": [\n    1.0,\n    -0,\n    1E400\n  ]\n}',
  );
  assert.equal(oneLine(source), '{"foo": 3544790567247868102, "bar": 0.2345678901234568, "e": [1.0, -0, 1E400]}');
});

test("what is no JSON is not laid out", () => {
  for (const source of ["", "{", '{"a":1,}', "[1 2]", "01", '"\n"', "nul", '{"a":1}x', "[".repeat(1000)]) {
    assert.equal(layOut(source), undefined, source);
  }
});

test("empty groups, text and words", () => {
  assert.equal(text(' { } '), "{}");
  assert.equal(text('"a\\u0041\\n"'), '"a\\u0041\\n"');
  assert.equal(text("[null,true]"), "[\n  null,\n  true\n]");
});

test("a status joins a query without changing its meaning", () => {
  assert.equal(withStatus("", "Running"), 'ExecutionStatus="Running"');
  assert.equal(withStatus("a=1", "Failed"), 'a=1 AND ExecutionStatus="Failed"');
  assert.equal(withStatus("a=1 or b=2", "Failed"), '(a=1 or b=2) AND ExecutionStatus="Failed"');
  assert.equal(withStatus("a=1", null), "a=1");
});

test("an id is no query", () => {
  for (const id of ["transfer-001", "01a207d4-6d16-7257-9019-283f052bc03e", "order in progress", "a/b:c"]) {
    assert.equal(looksLikeQuery(id), false, id);
  }
  assert.ok(looksLikeQuery('WorkflowType = "x"'));
  assert.ok(looksLikeQuery("StartTime > '2026-01-01'"));
  assert.ok(looksLikeQuery("CloseTime is null"));
  assert.ok(looksLikeQuery("ExecutionStatus IN ('Failed')"));
});

test("where a query is wrong", () => {
  assert.equal(errorPosition("syntax error at position 5 near 'x'", "abcdefgh"), 4);
  assert.equal(errorPosition("syntax error at position 8 near 'b'", "b = 1 b b"), 6);
  assert.equal(errorPosition("column name 'Typo' is not a valid search attribute", 'a = 1 AND Typo = "x"'), 10);
  assert.equal(errorPosition("syntax error near 'def'", "abc def"), 4);
  assert.equal(errorPosition("no idea", "abc"), undefined);
});

test("times", () => {
  assert.equal(span(850), "850 ms");
  assert.equal(span(2449), "2.4 s");
  assert.equal(span(200_000), "3 min 20 s");
  assert.equal(span(86_400_000), "1 d");
  assert.equal(ago(61_000), "1 min ago");
  assert.equal(durationMs("1.5s"), 1500);
  assert.equal(instant("0001-01-01T00:00:00Z"), undefined);
  assert.equal(words("WorkflowTaskTimedOut"), "Workflow task timed out");
});
