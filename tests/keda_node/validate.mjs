// Validates KEDA objects, a JSON list on standard input; prints what is wrong with each, "" for nothing.
import { readFileSync } from "node:fs";
import * as keda from "@kubernetes-models/keda/keda.sh/v1alpha1";

const wrong = JSON.parse(readFileSync(0, "utf-8")).map((object) => {
  try {
    new keda[object.kind](object).validate();
    return "";
  } catch (error) {
    return error.message;
  }
});
console.log(JSON.stringify(wrong));
