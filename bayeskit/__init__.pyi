from .assumptions import Assumption as Assumption
from .assumptions import Dial as Dial
from .assumptions import Prior as Prior
from .builder import ModelBuilder as ModelBuilder
from .builder import Simulation as Simulation
from .calibration import Calibration as Calibration
from .calibration import calibrate as calibrate
from .checks import CheckResult as CheckResult
from .checks import Status as Status
from .checks import Verdict as Verdict
from .errors import BayeskitError as BayeskitError
from .errors import DataError as DataError
from .errors import SamplingError as SamplingError
from .errors import SpecificationError as SpecificationError
from .errors import StorageError as StorageError
from .fit import Fit as Fit
from .graph import Graph as Graph
from .intake import Column as Column
from .intake import Rows as Rows
from .intake import encode as encode
from .mode import Mode as Mode
from .registry import from_json as from_json
from .registry import load_model as load_model
from .registry import model_names as model_names
from .storage import load as load
from .storage import save as save

__version__: str
