"""FastAPI under uvicorn, the model in process: a plain `def` endpoint, which FastAPI runs in its threads."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, UploadFile

from bench.peers.predictor import Predictor

_predictors: list[Predictor] = []


@asynccontextmanager
async def _lifespan(app: FastAPI) -> Any:
    _predictors.append(Predictor())  # in each worker, as FastAPI's guide to lifespan events loads a model
    yield


app = FastAPI(lifespan=_lifespan)


@app.post("/detect")
def detect(image: UploadFile) -> dict[str, Any]:
    return _predictors[0](image.file.read())
