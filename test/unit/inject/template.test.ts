import { describe, expect, test } from 'vitest';
import { expanded } from '../../../src/inject/template/expand.ts';
import { parseTemplate } from '../../../src/inject/template/parse.ts';

const DATA = {
  objectMeta: { name: 'hello', labels: { app: 'shop', 'odd.key/x': 'y' }, annotations: { mode: 'TPROXY' } },
  spec: {
    dnsPolicy: 'ClusterFirst',
    hostIP: '10.0.0.1',
    containers: [{ name: 'a', ports: [{ containerPort: 80 }, { containerPort: 90 }] }, { name: 'b' }],
  },
  proxyConfig: { concurrency: 2, drainDuration: '75s', interceptionMode: 'REDIRECT' },
};
const run = (template: string): string =>
  expanded(parseTemplate(template), DATA)
    .map(({ text }) => text)
    .join('');

describe("a template expands as Go's text/template does", () => {
  test.each([
    ['plain', 'plain'],
    ['[[ .ObjectMeta.Name ]]', 'hello'],
    ['{{ .ObjectMeta.Name }} [[ stays ]]', 'hello [[ stays ]]'],
    ['[[ .Spec.DNSPolicy ]] [[ .Spec.HostIP ]]', 'ClusterFirst 10.0.0.1'],
    ['a  [[- /* of no effect ]] */ -]]  b', 'ab'],
    ['a [[- 3 -]] b', 'a3b'],
    ['[[-3]]', '-3'],
    ['[[ index .ObjectMeta.Labels "odd.key/x" ]]', 'y'],
    ['[[ index .ObjectMeta.Labels "absent" ]]|', '|'],
    ['[[ (index .Spec.Containers 1).Name ]]', 'b'],
    ['[[ or (index .ObjectMeta.Annotations "mode") .ProxyConfig.InterceptionMode.String ]]', 'TPROXY'],
    ['[[ or "" .Absent "last" ]] [[ and 1 "" 2 ]]|', 'last |'],
    ['[[ if eq .Spec.ServiceAccountName "" ]]none[[ else ]]some[[ end ]]', 'none'],
    ['[[ if gt .ProxyConfig.Concurrency 3 ]]3[[ else if gt .ProxyConfig.Concurrency 1 ]]1[[ else ]]0[[ end ]]', '1'],
    ['[[ if ne "" (index .ObjectMeta.Labels "app") -]]  yes  [[- end ]]', 'yes'],
    ['[[ range .Spec.Containers ]][[ range .Ports ]][[ .ContainerPort ]],[[ end ]][[ end ]]', '80,90,'],
    ['[[ range $i, $c := .Spec.Containers ]][[ $i ]]=[[ $c.Name ]] [[ end ]]', '0=a 1=b '],
    ['[[ range $k, $v := .ObjectMeta.Labels ]][[ $k ]]:[[ $v ]];[[ end ]]', 'app:shop;odd.key/x:y;'],
    ['[[ range .Absent ]]x[[ else ]]empty[[ end ]]', 'empty'],
    ['[[ range .Spec.Containers ]][[ if eq .Name "b" ]][[ break ]][[ end ]][[ .Name ]][[ end ]]', 'a'],
    ['[[ range .Spec.Containers ]][[ if eq .Name "a" ]][[ continue ]][[ end ]][[ .Name ]][[ end ]]', 'b'],
    ['[[ with .ObjectMeta ]][[ .Name ]] of [[ $.Spec.HostIP ]][[ end ]]', 'hello of 10.0.0.1'],
    ['[[ $x := "a" ]][[ range .Spec.Containers ]][[ $x = .Name ]][[ end ]][[ $x ]]', 'b'],
    ['[[ .ObjectMeta.Name | printf "%s-%s" "x" | printf "%q" ]]', '"x-hello"'],
    ['[[ printf "istio.%s" "default" ]] [[ printf "%d%%" 5 ]]', 'istio.default 5%'],
    ['[[ formatDuration .ProxyConfig.DrainDuration ]] [[ formatDuration "no" ]]', '1m15s 1s'],
    ['[[ isset .ObjectMeta.Annotations "mode" ]] [[ isset .ObjectMeta.Absent "mode" ]]', 'true false'],
    ['[[ annotation .ObjectMeta "mode" "x" ]] [[ annotation .ObjectMeta "none" "x" ]]', 'TPROXY x'],
    ['[[ quote "a\\"b" ]] [[ `raw \\n` ]]', '"a\\"b" raw \\n'],
    ['[[ len .Spec.Containers ]] [[ len "\u00e9" ]] [[ len .Absent ]]', '2 2 0'],
    ['[[ eq 1 2 1 ]] [[ not (lt 1 2) ]] [[ le "a" "b" ]]', 'true false true'],
    ['[[ toJson .ObjectMeta.Labels ]]', '{"app":"shop","odd.key/x":"y"}'],
  ])('%s', (template, text) => {
    expect(run(template)).toBe(text);
  });
});

describe('a template that cannot be read or run names its line', () => {
  test.each([
    ['\n[[ .A ', 'line 2 of the template: an action has no ]]'],
    ['[[ if .A ]]', 'line 1 of the template: if has no end'],
    ['[[ end ]]', 'line 1 of the template: end closes nothing'],
    ['[[ if .A ]][[ else ]][[ else ]][[ end ]]', 'if has no end after its else'],
    ['[[ nosuch .A ]]', 'there is no function nosuch'],
    ['\n\n[[ template "x" ]]', 'line 3 of the template: template is not supported'],
    ['[[ define "x" ]][[ template "x" ]][[ end ]]', 'define is not supported'],
    ['[[ .A .B ]]', 'unexpected B after a value'],
    ['[[ break ]]', 'break stands outside of range'],
    ['[[ $x ]]', '$x is not declared'],
    ['[[ $x = 1 ]]', '$x is not declared'],
    ['[[ ]]', 'an action is empty'],
    ['[[ "\\x41" ]]', 'an escape that is not supported'],
    ['[[ § ]]', 'is not understood'],
    ['[[ (1 ]]', 'a ) is missing'],
    ['[[ index .Spec.Containers 7 ]]', 'the list has 2 items, and none at 7'],
    ['[[ .ObjectMeta.Name.First ]]', 'a string has no field First'],
    ['[[ eq 1 "1" ]]', 'a number and a string cannot be compared'],
    ['[[ not ]]', 'not has 0 arguments; it takes 1'],
    ['[[ printf "%999d" 1 ]]', 'printf pads to at most'],
    ['[[ printf "%s" ]]', 'printf has no argument for %s'],
    ['[[ range .ObjectMeta.Name ]][[ end ]]', 'range needs a list or a map'],
  ])('%s', (template, message) => {
    expect(() => run(template)).toThrow(message);
  });
});

describe('the work of a template is bounded', () => {
  const many = { items: Array.from({ length: 1000 }, (_, at) => at) };
  const bounded = (template: string): void => {
    const start = performance.now();
    expect(() => expanded(parseTemplate(template), many)).toThrow('takes more than 2000000 steps and characters');
    expect(performance.now() - start).toBeLessThan(10_000);
  };

  test('with loops in loops', () => {
    bounded(`${'[[ range $.Items ]]'.repeat(40)}x${'[[ end ]]'.repeat(40)}`);
  });

  test('with loops that print nothing', () => {
    bounded(`${'[[ range $.Items ]]'.repeat(40)}${'[[ end ]]'.repeat(40)}`);
  });

  test('with a text that doubles', () => {
    bounded('[[ $x := "xxxxxxxx" ]][[ range $.Items ]][[ $x = printf "%s%s" $x $x ]][[ end ]]');
  });

  test('with blocks and parentheses of any depth', () => {
    expect(() => parseTemplate('[[ if 1 ]]'.repeat(100_000))).toThrow('nested deeper than 50');
    expect(() => parseTemplate(`[[ ${'('.repeat(100_000)} ]]`)).toThrow('nested deeper than 50');
    expect(() => parseTemplate(`[[ if 1 ]]${'[[ else if 1 ]]'.repeat(1000)}`)).toThrow('nested deeper than 50');
    expect(() => parseTemplate('x'.repeat(2_000_000))).toThrow('at most');
    for (const part of ['[[ /*', '[[ "\\"', '"\\"', '/*', '`', '[[ 1 ', '$a.'])
      expect(() => parseTemplate(`[[ ${part.repeat(100_000)}`)).toThrow('has no ]]');
  });
});
