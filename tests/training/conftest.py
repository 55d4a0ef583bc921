import dataclasses

import numpy as np
import pytest
import torch

from service.recognition.model import Scorer
from training.config import Config
from training.data.digits import load_mnist5k, split
from training.export import export
from training.stages.train import fit
from training.stages.windows import WindowStage


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def mnist5k():
    return load_mnist5k()


@pytest.fixture(scope="session")
def digits(mnist5k):
    return mnist5k.where(np.arange(0, len(mnist5k), 8))  # 625 of all classes


@pytest.fixture(scope="session")
def training(digits):
    return split(digits)[0]


@pytest.fixture(scope="session")
def validation(digits):
    return split(digits)[1]


@pytest.fixture(scope="session")
def config():
    return dataclasses.replace(
        Config(), windows=96, strips=2, strip_width=96, validation_strips=4, epochs=3, average=0.5
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, config, training, validation):
    folder = tmp_path_factory.mktemp("finished_run")
    fit(folder, WindowStage(config, training, validation, "mnist5k"), workers=0)
    return folder


@pytest.fixture(scope="session")
def exported(tmp_path_factory, finished_run):
    model = tmp_path_factory.mktemp("exported") / "model.onnx"
    return model, export(finished_run / "best.pt", model)


@pytest.fixture(scope="session")
def scorer(exported):
    return Scorer(exported[0])
