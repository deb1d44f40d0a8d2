import { expect, it } from 'vitest';
import { createStepper } from '../src/stepper.js';

/** Prompts 0..9; every look at the list takes a turn. */
function walker(last = 9) {
  const arrived = [];
  let resolve;
  const done = new Promise((set) => (resolve = set));
  const neighbours = async (id) => ({ previous: id > 0 ? id - 1 : null, next: id < last ? id + 1 : null });
  const stepper = createStepper({ neighbours, onArrive: (id, from) => (arrived.push([id, from]), resolve()) });
  return { stepper, arrived, done };
}

it('six presses at once lead six prompts on', async () => {
  const { stepper, arrived, done } = walker();
  for (let i = 0; i < 6; i += 1) stepper.step(1, 0);
  await done;
  expect(arrived).toEqual([[6, 0]]);
});

it('back and forth cancel out, the end of the list stops', async () => {
  const { stepper, arrived, done } = walker(4);
  stepper.step(1, 2);
  stepper.step(-1, 2);
  stepper.step(-1, 2);
  await done;
  expect(arrived).toEqual([[1, 2]]);
  for (let i = 0; i < 9; i += 1) stepper.step(1, 1);
  await new Promise((set) => setTimeout(set, 0));
  expect(arrived.at(-1)).toEqual([4, 1]);
});

it('a list that cannot be read leaves the reader where he is, and the next press counts from there', async () => {
  let broken = true;
  const arrived = [];
  const neighbours = async (id) => (broken ? Promise.reject(new Error('lost')) : { previous: null, next: id + 1 });
  const stepper = createStepper({ neighbours, onArrive: (id) => arrived.push(id) });
  stepper.step(1, 3);
  await new Promise((set) => setTimeout(set, 0));
  broken = false;
  stepper.step(1, 3);
  await new Promise((set) => setTimeout(set, 0));
  expect(arrived).toEqual([4]);
});
