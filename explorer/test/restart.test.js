import { expect, it, vi } from 'vitest';
import { isTrap, surviving } from '../src/restart.js';

it('a trapped engine is replaced once, and the task done again', async () => {
  const restart = vi.fn(async () => {});
  const task = vi.fn().mockRejectedValueOnce(new Error('null function')).mockResolvedValueOnce(7);
  expect(await surviving(task, restart)).toBe(7);
  expect(restart).toHaveBeenCalledTimes(1);
});

it('a trap that comes again is told', async () => {
  const restart = vi.fn(async () => {});
  const task = vi.fn().mockRejectedValue(new Error('memory access out of bounds'));
  await expect(surviving(task, restart)).rejects.toThrow('out of bounds');
  expect(task).toHaveBeenCalledTimes(2);
});

it('a fault of the query is told at once', async () => {
  const restart = vi.fn(async () => {});
  const task = vi.fn().mockRejectedValue(new Error('Binder Error: column "x" not found'));
  await expect(surviving(task, restart)).rejects.toThrow('Binder');
  expect([task.mock.calls.length, restart.mock.calls.length]).toEqual([1, 0]);
  expect(isTrap('Parser Error: syntax error at end of input')).toBe(false);
});
